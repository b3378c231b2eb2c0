package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// startNghttpx puts nghttpx in front of the server at backend: over TLS as
// ws.example.com, or in cleartext if ca is nil.
func startNghttpx(t *testing.T, ca *authority, backend string, more ...string) *program {
	path := find(t, "nghttpx", "nghttp2-proxy")
	return start(t, path, func(port string) []string {
		args := append([]string{
			"--conf=/dev/null", "--single-process", "--workers=1", "--log-level=NOTICE",
			"--backend=127.0.0.1," + backend,
		}, more...)
		if ca == nil {
			return append(args, "--frontend=127.0.0.1,"+port+";no-tls")
		}
		cert, key := ca.files("ws.example.com")
		return append(args, "--frontend=127.0.0.1,"+port, key, cert)
	})
}

// front is an nghttpx and how to speak HTTP/2 with it.
type front struct {
	name string
	*program
	options reqws.Option
	dials   *atomic.Int32
}

// fronts starts one over TLS and one in cleartext.
func fronts(t *testing.T, backend string, more ...string) []front {
	ca := newAuthority(t, "Test CA")
	secure, clear := startNghttpx(t, ca, backend, more...), startNghttpx(t, nil, backend, more...)
	return []front{
		newFront("TLS", secure, through(secure, ca)),
		newFront("cleartext", clear, reqws.URL("ws://"+clear.addr+"/path?and=query")),
	}
}

func newFront(name string, p *program, options reqws.Option) front {
	dials := new(atomic.Int32)
	return front{name, p, reqws.Options(
		options,
		reqws.Protocols(reqws.HTTP2),
		reqws.DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}),
	), dials}
}

// at is f's address with another path.
func (f front) at(path string) reqws.Option {
	scheme := "wss://"
	if f.name == "cleartext" {
		scheme = "ws://"
	}
	return reqws.Options(f.options, reqws.URL(scheme+f.addr+path))
}

func TestNghttpx(t *testing.T) {
	b := newBackend(t, plain)
	for _, front := range fronts(t, b.port()) {
		for name, mode := range map[string]websocket.CompressionMode{
			"plain": websocket.CompressionDisabled, "compressed": websocket.CompressionContextTakeover,
		} {
			t.Run(front.name+" "+name, func(t *testing.T) {
				is := is.New(t)
				resp := open(t, front.options, reqws.Compression(mode), reqws.Subprotocols("other", "echo"))
				is.Equal(resp.StatusCode, http.StatusOK)
				is.Equal(resp.Proto, "HTTP/2.0")
				is.Equal(resp.Subprotocol, "echo")
				is.Equal(b.last().Proto, "HTTP/1.1")
				is.Equal(b.last().RequestURI, "/path?and=query")
				is.Equal(resp.Header.Get("Sec-WebSocket-Extensions") != "", mode != websocket.CompressionDisabled)
				exchange(t, resp, append(messages(70000), reqws.Text(text(10_000_000))))
				is.NoErr(resp.Close(4001, "enough"))
				end := b.how(t)
				is.Equal(int(end.code), 4001)
				is.Equal(end.reason, "enough")
			})
		}
	}
}

// The closing handshake is complete for both sides, whichever begins.
func TestNghttpxCloses(t *testing.T) {
	b := newBackend(t, plain)
	for _, front := range fronts(t, b.port()) {
		t.Run(front.name+" client first", func(t *testing.T) {
			is := is.New(t)
			for range 50 {
				resp := open(t, front.options)
				is.NoErr(resp.Close(4001, "enough"))
				is.NoErr(resp.Wait())
				is.Equal(int(b.how(t).code), 4001)
			}
		})
		t.Run(front.name+" server first", func(t *testing.T) {
			is := is.New(t)
			for range 50 {
				resp := open(t, front.at("/close?code=4002"))
				var ce websocket.CloseError
				is.True(errors.As(resp.Wait(), &ce))
				is.Equal(int(ce.Code), 4002)
				is.Equal(ce.Reason, "the backend is first")
				is.NoErr(b.how(t).err) // it got the answer to its close frame
			}
		})
		t.Run(front.name+" handler halts", func(t *testing.T) {
			is := is.New(t)
			for range 50 {
				err := reqws.New(front.options,
					reqws.OnOpen(func(*reqws.Response) reqws.Directive { return reqws.Cont(reqws.Text("hello")) }),
					reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Halt(reqws.Text("bye")) }),
				).Run(within(t, 20e9))
				is.NoErr(err)
				is.Equal(b.how(t).code, websocket.StatusNormalClosure)
			}
		})
		t.Run(front.name+" ctx ends", func(t *testing.T) {
			is := is.New(t)
			for range 50 {
				ctx, cancel := context.WithCancel(within(t, 20e9))
				resp, err := reqws.New(front.options).Do(ctx)
				is.NoErr(err)
				cancel()
				is.True(errors.Is(resp.Wait(), context.Canceled))
				is.Equal(b.how(t).code, websocket.StatusGoingAway)
			}
		})
		t.Run(front.name+" connection lost", func(t *testing.T) {
			is := is.New(t)
			resp := open(t, front.options)
			exchange(t, resp, messages(100))
			is.NoErr(resp.CloseNow())
			is.Equal(int(b.how(t).code), -1)
		})
	}
}

// Many streams share a connection, up to the limit that nghttpx sets.
func TestNghttpxStreams(t *testing.T) {
	b := newBackend(t, plain)
	for _, front := range fronts(t, b.port(), "--frontend-http2-max-concurrent-streams=60") {
		t.Run(front.name, func(t *testing.T) {
			is := is.New(t)
			req := reqws.New(front.options)
			var wg sync.WaitGroup
			var all []*reqws.Response
			for range 150 {
				resp, err := req.Do(within(t, 60e9))
				is.NoErr(err)
				all = append(all, resp)
			}
			is.Equal(front.dials.Load(), int32(3))
			for i, resp := range all {
				wg.Go(func() {
					own := reqws.Text(fmt.Sprintf("stream %d", i))
					exchange(t, resp, append(messages(4096), reqws.Binary(text(70000)), own))
				})
			}
			wg.Wait()
			for _, resp := range all {
				wg.Go(func() {
					if err := resp.Close(4001, ""); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for range all {
				is.Equal(int(b.how(t).code), 4001)
			}
		})
	}
}

// A stream whose messages nobody takes does not hold the others up.
func TestNghttpxSlowReader(t *testing.T) {
	b := newBackend(t, plain)
	for _, front := range fronts(t, b.port()) {
		t.Run(front.name, func(t *testing.T) {
			is := is.New(t)
			ctx := within(t, 60e9)
			req := reqws.New(front.options)
			release, holding := make(chan struct{}), make(chan struct{})
			var once sync.Once
			slow, err := req.Do(ctx, reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
				once.Do(func() { close(holding) })
				<-release
				return reqws.Cont()
			}))
			is.NoErr(err)
			flood := make(chan error, 1)
			go func() { flood <- slow.Send(ctx, reqws.Text("hold"), reqws.Binary(make([]byte, 8<<20))) }()
			<-holding
			fast, err := req.Do(ctx)
			is.NoErr(err)
			exchange(t, fast, messages(1<<20))
			is.NoErr(fast.Close(1000, ""))
			is.Equal(front.dials.Load(), int32(1))
			close(release)
			is.NoErr(<-flood)
			is.NoErr(slow.Close(1000, ""))
		})
	}
}

// The protocol is the preferred one of those that nghttpx takes.
func TestNghttpxFallback(t *testing.T) {
	ca := newAuthority(t, "Test CA")
	b := newBackend(t, plain)
	for _, c := range []struct {
		alpn  string
		first reqws.Protocol
		want  string
	}{
		{"http/1.1", reqws.HTTP2, "HTTP/1.1"},
		{"h2", reqws.HTTP2, "HTTP/2.0"},
		{"h2,http/1.1", reqws.HTTP1, "HTTP/1.1"},
		{"h2,http/1.1", reqws.HTTP2, "HTTP/2.0"},
	} {
		t.Run(fmt.Sprintf("%s, %d first", c.alpn, c.first), func(t *testing.T) {
			is := is.New(t)
			nghttpx := startNghttpx(t, ca, b.port(), "--npn-list="+c.alpn)
			req := reqws.New(through(nghttpx, ca), reqws.Protocols(c.first, reqws.HTTP1+reqws.HTTP2-c.first), reqws.Retry(reqws.Never))
			for range 2 {
				resp, err := req.Do(within(t, 20e9))
				is.NoErr(err)
				is.Equal(resp.Proto, c.want)
				exchange(t, resp, messages(100))
				is.NoErr(resp.Close(1000, ""))
				is.Equal(b.how(t).code, websocket.StatusNormalClosure)
			}
		})
	}
}

// An nghttpx that takes HTTP/2 alone lets TLS agree on nothing, where it could
// refuse, and then hangs up on HTTP/1.1: nobody can tell that from a server in trouble.
func TestNghttpxWithoutHTTP1(t *testing.T) {
	is := is.New(t)
	ca := newAuthority(t, "Test CA")
	nghttpx := startNghttpx(t, ca, newBackend(t, plain).port(), "--npn-list=h2")
	err := refused(t, through(nghttpx, ca), reqws.Protocols(reqws.HTTP1, reqws.HTTP2))
	t.Log(err)
	is.True(errors.Is(err, io.ErrUnexpectedEOF))
}

func TestNghttpxClientCertificate(t *testing.T) {
	ca, other := newAuthority(t, "Test CA"), newAuthority(t, "Other CA")
	b := newBackend(t, plain)
	nghttpx := startNghttpx(t, ca, b.port(), "--verify-client", "--verify-client-cacert="+ca.file())
	t.Run("right", func(t *testing.T) {
		is := is.New(t)
		resp := open(t, through(nghttpx, ca, ca.issue("client")), reqws.Protocols(reqws.HTTP2))
		exchange(t, resp, messages(100))
		is.NoErr(resp.Close(1000, ""))
	})
	for name, certs := range map[string][]tls.Certificate{"none": nil, "wrong": {other.issue("client")}} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			err := refused(t, through(nghttpx, ca, certs...), reqws.Protocols(reqws.HTTP2))
			t.Log(err)
			is.True(strings.Contains(err.Error(), "tls: certificate required"))
		})
	}
}

// nghttpx answers for a backend that is not there, and one that refuses.
func TestNghttpxAnswers(t *testing.T) {
	for _, front := range fronts(t, freePort(t)) {
		t.Run(front.name+" no backend", func(t *testing.T) {
			is := is.New(t)
			err := refused(t, front.options)
			t.Log(err)
			var he *reqws.HTTPError
			is.True(errors.As(err, &he))
			is.Equal(he.StatusCode, http.StatusBadGateway)
		})
	}
}

// When nghttpx is stopped, each stream ends with an error.
func TestNghttpxStops(t *testing.T) {
	b := newBackend(t, plain)
	for _, front := range fronts(t, b.port()) {
		t.Run(front.name, func(t *testing.T) {
			is := is.New(t)
			one, other := open(t, front.options), open(t, front.options)
			exchange(t, one, messages(100))
			front.stop(t)
			for _, resp := range []*reqws.Response{one, other} {
				err := resp.Wait()
				t.Log(err)
				is.True(err != nil)
			}
		})
	}
}
