package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// node is the server of node/server.js.
type node struct {
	addr string
	next atomic.Int32 // the id of the next connection
}

// startNode starts node/server.js, which chooses its port itself.
func startNode(t *testing.T) *node {
	t.Helper()
	path := find(t, "node", "nodejs")
	if _, err := os.Stat("node/node_modules/ws/package.json"); err != nil {
		t.Fatal("the npm package ws is not installed in node/: prepare.sh installs it")
	}
	p := &program{cmd: exec.Command(path, "server.js"), exited: make(chan struct{})}
	p.cmd.Dir = "node"
	p.cmd.Stderr = &p.out
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := p.cmd.StdinPipe() // it ends with this one, whatever becomes of the test
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		stdin.Close()
		p.stop(t)
	})
	if err != nil {
		t.Fatalf("node does not start: %v\n%s", err, &p.out)
	}
	return &node{addr: net.JoinHostPort("127.0.0.1", strings.TrimSpace(line))}
}

// outcome is how a connection ended, as the server saw it.
type outcome struct {
	Code     int
	Reason   string
	Errors   []string
	Received int // bytes, the handshake included
	Sent     int
}

// at returns the URL of a new connection, and a function that waits for its end.
func (n *node) at(t *testing.T, behaviour string, query url.Values) (reqws.Option, func() outcome) {
	id := fmt.Sprint(n.next.Add(1))
	with := url.Values{"id": {id}}
	for name, values := range query {
		with[name] = values
	}
	return reqws.URL("ws://" + n.addr + behaviour + "?" + with.Encode()), func() outcome {
		t.Helper()
		req, err := http.NewRequestWithContext(within(t, 20e9), http.MethodGet, "http://"+n.addr+"/closed?id="+id, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var o outcome
		if err := json.NewDecoder(resp.Body).Decode(&o); err != nil {
			t.Fatal(err)
		}
		return o
	}
}

// compressions are the ways in which ws can be told to compress.
func compressions() map[string]url.Values {
	const (
		server = "serverNoContextTakeover"
		client = "clientNoContextTakeover"
	)
	all := map[string]url.Values{
		"takeover":                     {},
		"no takeover by the server":    {server: {"true"}},
		"no takeover by the client":    {client: {"true"}},
		"no takeover":                  {server: {"true"}, client: {"true"}},
		"default threshold":            {"threshold": {"1024"}},
		"no takeover, 9 bits each way": {server: {"true"}, client: {"true"}, "serverMaxWindowBits": {"9"}, "clientMaxWindowBits": {"9"}},
		"client's 8 bits":              {"clientMaxWindowBits": {"8"}},
	}
	for bits := 9; bits <= 15; bits++ {
		s := fmt.Sprint(bits)
		all["server's "+s+" bits"] = url.Values{"serverMaxWindowBits": {s}}
		all["client's "+s+" bits"] = url.Values{"clientMaxWindowBits": {s}}
		all["both sides' "+s+" bits"] = url.Values{"serverMaxWindowBits": {s}, "clientMaxWindowBits": {s}}
	}
	for _, query := range all {
		query.Set("compress", "true")
	}
	return all
}

// Both sides compress in all ways they can agree on, whatever this side asks for.
func TestNodeCompression(t *testing.T) {
	n := startNode(t)
	frames := messages(70000)
	size := 0
	for _, f := range frames {
		size += len(f.Data)
	}
	for name, query := range compressions() {
		for asked, mode := range map[string]websocket.CompressionMode{
			"takeover": websocket.CompressionContextTakeover, "none": websocket.CompressionNoContextTakeover,
		} {
			t.Run(name+", asked for "+asked, func(t *testing.T) {
				is := is.New(t)
				u, ended := n.at(t, "/echo", query)
				resp := open(t, u, reqws.Compression(mode))
				agreed := resp.Header.Get("Sec-WebSocket-Extensions")
				is.True(strings.HasPrefix(agreed, "permessage-deflate"))
				for _, side := range []string{"server", "client"} {
					if bits := query.Get(side + "MaxWindowBits"); bits != "" {
						is.True(strings.Contains(agreed, side+"_max_window_bits="+bits))
					}
					no := query.Has(side+"NoContextTakeover") || mode == websocket.CompressionNoContextTakeover
					is.Equal(strings.Contains(agreed, side+"_no_context_takeover"), no)
				}
				exchange(t, resp, frames)
				is.NoErr(resp.Close(4001, "enough"))
				o := ended()
				is.Equal(o.Code, 4001)
				is.Equal(o.Reason, "enough")
				is.Equal(len(o.Errors), 0)
				// A third is noise, and the rest hardly counts once it is compressed.
				is.True(o.Received < size*6/10)
				is.True(o.Sent < size*6/10)
			})
		}
	}
}

// Messages of 10 MB, both ways, and small ones between them.
func TestNodeLarge(t *testing.T) {
	n := startNode(t)
	for name, query := range map[string]url.Values{
		"plain":       {},
		"compressed":  {"compress": {"true"}},
		"no takeover": {"compress": {"true"}, "serverNoContextTakeover": {"true"}, "clientNoContextTakeover": {"true"}},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			u, ended := n.at(t, "/echo", query)
			resp := open(t, u, reqws.Compression(websocket.CompressionContextTakeover))
			exchange(t, resp, messages(10_000_000))
			exchange(t, resp, messages(70000))
			is.NoErr(resp.Close(1000, ""))
			is.Equal(ended().Code, 1000)
		})
	}
}

// A long feed of small messages, in one window; the handler sends some back.
func TestNodeFeed(t *testing.T) {
	n := startNode(t)
	for name, query := range compressions() {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			const messages = 2000
			query.Set("n", fmt.Sprint(messages))
			u, ended := n.at(t, "/feed", query)
			i := 0
			err := reqws.New(u, reqws.Compression(websocket.CompressionContextTakeover), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				if f.Kind == reqws.KindClose {
					is.Equal(f.Text(), fmt.Sprint(messages))
					return reqws.Cont()
				}
				var quote struct {
					I      int
					Symbol string
					Bids   []int
				}
				is.NoErr(f.JSON(&quote))
				is.Equal(f.Kind, []reqws.Kind{reqws.KindText, reqws.KindBinary}[i%2])
				is.Equal(quote.I, i)
				is.Equal(len(quote.Bids), i%40)
				i++
				return reqws.Cont()
			}))).Run(within(t, 20e9))
			is.NoErr(err)
			is.Equal(i, messages)
			is.Equal(ended().Code, 1000)
		})
	}
}

func TestNodePings(t *testing.T) {
	n := startNode(t)
	for name, query := range map[string]url.Values{"plain": {}, "compressed": {"compress": {"true"}}} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			query.Set("n", "500")
			u, ended := n.at(t, "/ping", query)
			pings := 0
			err := reqws.New(u, reqws.Compression(websocket.CompressionContextTakeover), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				if f.Kind == reqws.KindPing {
					pings++
				}
				return reqws.Cont()
			}))).Run(within(t, 20e9))
			is.NoErr(err)
			is.Equal(pings, 500)
			o := ended()
			is.Equal(o.Code, 1000)
			is.Equal(len(o.Errors), 0)
		})
	}
}

// A message in 100 frames, with pings between them.
func TestNodeFragments(t *testing.T) {
	n := startNode(t)
	for name, query := range map[string]url.Values{"plain": {}, "compressed": {"compress": {"true"}}} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			query.Set("n", "100")
			u, ended := n.at(t, "/fragments", query)
			resp := open(t, u, reqws.Compression(websocket.CompressionContextTakeover))
			var want strings.Builder
			for i := range 100 {
				fmt.Fprintf(&want, "piece %d of the message, ", i)
			}
			is.Equal(pull(t, resp)().Text(), want.String())
			is.NoErr(resp.Close(1000, ""))
			o := ended()
			is.Equal(o.Code, 1000)
			is.Equal(len(o.Errors), 0)
		})
	}
}

// Either side closes, with each code that may be sent.
func TestNodeCloseCodes(t *testing.T) {
	n := startNode(t)
	for _, code := range []websocket.StatusCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			is := is.New(t)
			u, ended := n.at(t, "/echo", nil)
			resp := open(t, u)
			is.NoErr(resp.Close(code, "größe"))
			o := ended()
			is.Equal(o.Code, int(code))
			is.Equal(o.Reason, "größe")

			u, ended = n.at(t, "/close", url.Values{"code": {fmt.Sprint(int(code))}, "reason": {strings.Repeat("r", 123)}})
			err := open(t, u).Wait()
			is.Equal(ended().Code, int(code)) // our answer
			if code == websocket.StatusNormalClosure {
				is.NoErr(err)
				return
			}
			var ce websocket.CloseError
			is.True(errors.As(err, &ce))
			is.Equal(ce.Code, code)
			is.Equal(ce.Reason, strings.Repeat("r", 123))
		})
	}
	t.Run("none", func(t *testing.T) {
		is := is.New(t)
		u, ended := n.at(t, "/close", nil)
		resp := open(t, u)
		is.NoErr(resp.Wait()) // the usual end of node's ws.close()
		code, _, ok := resp.PeerClose()
		is.True(ok)
		is.Equal(code, websocket.StatusNoStatusRcvd)
		is.Equal(ended().Code, 1005)

		u, ended = n.at(t, "/echo", nil)
		is.NoErr(open(t, u).Close(0, ""))
		is.Equal(ended().Code, 1005)
	})
	t.Run("lost", func(t *testing.T) {
		is := is.New(t)
		u, ended := n.at(t, "/echo", nil)
		is.NoErr(open(t, u).CloseNow())
		is.Equal(ended().Code, 1006)
	})
}

func TestNodeWithoutCompression(t *testing.T) {
	is := is.New(t)
	n := startNode(t)
	u, ended := n.at(t, "/echo", nil)
	resp := open(t, u, reqws.Compression(websocket.CompressionContextTakeover))
	is.Equal(resp.Header.Get("Sec-WebSocket-Extensions"), "")
	exchange(t, resp, messages(1<<20))
	is.NoErr(resp.Close(1000, ""))
	is.Equal(ended().Code, 1000)
}

func TestNodeSubprotocols(t *testing.T) {
	is := is.New(t)
	n := startNode(t)
	u, _ := n.at(t, "/echo", url.Values{"protocol": {"second"}})
	resp := open(t, u, reqws.Subprotocols("first", "second"))
	is.Equal(resp.Subprotocol, "second")
	is.NoErr(resp.Close(1000, ""))

	u, _ = n.at(t, "/echo", url.Values{"protocol": {"third"}})
	resp = open(t, u, reqws.Subprotocols("first", "second"))
	is.Equal(resp.Subprotocol, "")
	is.NoErr(resp.Close(1000, ""))
}

// A message that is small on the wire, and too big once it is inflated.
func TestNodeTooBig(t *testing.T) {
	is := is.New(t)
	n := startNode(t)
	u, ended := n.at(t, "/echo", url.Values{"compress": {"true"}})
	resp := open(t, u, reqws.Compression(websocket.CompressionContextTakeover), reqws.MaxMessageSize(1<<20))
	is.NoErr(resp.Send(within(t, 20e9), reqws.Binary(make([]byte, 4<<20)))) // 4 KB on the wire
	err := resp.Wait()
	t.Log(err)
	is.True(errors.Is(err, reqws.ErrMessageTooBig))
	is.Equal(ended().Code, 1009)
}
