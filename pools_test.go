package reqws_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// exchange has one message go to a server and come back.
type exchange func(message string) error

// crossing returns an exchange over a stream that req opens. Every second message goes in fragments.
func crossing(t *testing.T, name string, req *reqws.Request) exchange {
	resp, err := req.Do(t.Context())
	is.New(t).NoErr(err)
	t.Cleanup(func() { resp.CloseNow() })
	return crossingBy(t, name, resp, resp.Receive)
}

// aheadCrossing is crossing for a mailbox with ReadAhead.
func aheadCrossing(t *testing.T, name string, req *reqws.Request) exchange {
	box := make(chan reqws.Message)
	resp, err := req.Do(t.Context(), reqws.IntoMailbox(box), reqws.ReadAhead(1000))
	is.New(t).NoErr(err)
	t.Cleanup(func() { resp.CloseNow() })
	return crossingBy(t, name+", ahead", resp, func(context.Context) ([]reqws.Frame, error) { return resp.ParseMessage(<-box) })
}

func crossingBy(t *testing.T, name string, resp *reqws.Response, receive func(context.Context) ([]reqws.Frame, error)) exchange {
	n := 0
	return func(message string) error {
		n++
		send := func() error { return resp.Send(t.Context(), reqws.Text(message)) }
		if n%2 == 0 {
			send = func() error {
				return resp.SendReader(t.Context(), reqws.KindText, iotest.HalfReader(strings.NewReader(message)))
			}
		}
		if err := send(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		got := ""
		for more := true; more; {
			frames, err := receive(t.Context())
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for _, f := range frames {
				if !more || f.Kind != reqws.KindText {
					return fmt.Errorf("%s: %v came behind the message", name, f)
				}
				got, more = got+f.Text(), f.More
			}
		}
		if got != message {
			return fmt.Errorf("%s: a message of %d bytes came back as %d: %.50q", name, len(message), len(got), got)
		}
		return nil
	}
}

// overCoder exchanges with coder/websocket's server, which compresses its way, too.
func overCoder(t *testing.T, secure bool, client, server websocket.CompressionMode, more ...reqws.Option) exchange {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: server, CompressionThreshold: 1})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, p, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, p) != nil {
				return
			}
		}
	}))
	opts := append(more, reqws.Compression(client))
	cross := crossing
	if len(more) > 0 && secure {
		cross = aheadCrossing
	}
	if secure {
		srv.StartTLS()
		opts = append(opts, reqws.TLSConfig(&tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}))
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	opts = append(opts, reqws.URL("ws"+strings.TrimPrefix(srv.URL, "http")))
	return cross(t, fmt.Sprint("coder, TLS ", secure, ", client ", client, ", server ", server, ", options ", len(more)), reqws.New(opts...))
}

// joined reads a message, whose fragments it joins.
func joined(read func() (reqwstest.Frame, error)) (reqwstest.Frame, error) {
	f, err := read()
	for part := f; err == nil && !part.Fin; {
		part, err = read()
		f.Payload = append(f.Payload, part.Payload...)
	}
	return f, err
}

// overScript exchanges with a scripted server that agrees to extensions, and gets window bytes of window.
func overScript(t *testing.T, extensions string, window int) exchange {
	accept := reqwstest.Accept()
	if extensions != "" {
		accept = accepting(extensions)
	}
	srv := reqwstest.NewMemory(t, reqwstest.Script(accept, reqwstest.Do(func(c *reqwstest.Conn) error {
		z := &inflater{window: window}
		for {
			f, err := joined(c.ReadFrame)
			if err != nil || f.Op != reqwstest.OpText {
				return nil
			}
			if f.RSV == reqwstest.RSV1 {
				if f.Payload, err = z.inflate(f.Payload); err != nil {
					return err
				}
			}
			if err := c.WriteFrame(reqwstest.Text(f.Payload)); err != nil {
				return nil
			}
		}
	})))
	return crossing(t, "script, "+extensions, to(srv, reqws.Compression(takeover)))
}

// overPlain exchanges with a server of plain HTTP, which answers with what it is asked for.
func overPlain(t *testing.T, stream bool) exchange {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Query().Get("q")) }))
	t.Cleanup(srv.Close)
	return func(message string) error {
		message = message[:min(len(message), 4000)]
		req := reqws.New(reqws.URL(srv.URL), reqws.Param("q", message))
		var got []byte
		var err error
		if stream {
			err = req.Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				got = append(got, f.Data...)
				return reqws.Cont()
			})))
		} else {
			var resp *reqws.Response
			if resp, err = req.Do(t.Context()); err == nil {
				got = resp.Body
			}
		}
		if err != nil || string(got) != message {
			return fmt.Errorf("plain, stream %v: %d bytes came as %d: %w", stream, len(message), len(got), err)
		}
		return nil
	}
}

func lanes(t *testing.T) (all []exchange) {
	none := websocket.CompressionDisabled
	for _, c := range []struct{ client, server websocket.CompressionMode }{
		{takeover, takeover}, {noTakeover, takeover}, {takeover, noTakeover}, {none, none}, {takeover, none},
	} {
		for _, secure := range []bool{false, true} {
			all = append(all, overCoder(t, secure, c.client, c.server), overCoder(t, secure, c.client, c.server, reqws.Pieces(true)))
		}
	}
	for bits := 8; bits <= 15; bits++ {
		agreed := fmt.Sprintf("%s; client_max_window_bits=%d", deflate, bits)
		all = append(all, overScript(t, agreed, 1<<bits), overScript(t, agreed+"; client_no_context_takeover", 0))
	}
	return append(all, overScript(t, "", 0), overPlain(t, false), overPlain(t, true))
}

// parcel is a message that has much in common with those of other streams, so that what a pool carries over from one
// to the other fits there, and does damage.
func parcel(rnd *rand.Rand) string { return prose(rnd.IntN(3), 100+rnd.IntN(1<<(7+rnd.IntN(8)))) }

// Streams of all settings in one process, by turns and at once: each message arrives as it was sent.
func TestStreamsShareNothing(t *testing.T) {
	inTurnsAndAtOnce(t, lanes, 1500)
}

func inTurnsAndAtOnce(t *testing.T, lanes func(*testing.T) []exchange, rounds int) {
	t.Run("by turns", func(t *testing.T) {
		is := is.New(t)
		all, rnd := lanes(t), rand.New(rand.NewPCG(1, 2))
		for range unhurried(rounds) {
			is.NoErr(all[rnd.IntN(len(all))](parcel(rnd)))
		}
	})
	t.Run("at once", func(t *testing.T) {
		is := is.New(t)
		all := lanes(t)
		errs := make(chan error, len(all))
		for i, send := range all {
			go func() {
				rnd := rand.New(rand.NewPCG(2, uint64(i)))
				for range unhurried(rounds)/len(all) + 1 {
					if err := send(parcel(rnd)); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range all {
			is.NoErr(<-errs)
		}
	})
}

// The same for streams that share a connection of HTTP/2, in the process that TestGoServer starts.
func TestWithGoServerStreamsShareNothing(t *testing.T) {
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("run by TestGoServer")
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		window := 1 << 15
		if offer := r.Header.Get("Sec-Websocket-Extensions"); strings.Contains(offer, "client_no_context_takeover") {
			w.Header().Set("Sec-Websocket-Extensions", deflate+"; client_no_context_takeover")
			window = 0
		} else if offer != "" {
			w.Header().Set("Sec-Websocket-Extensions", deflate)
		}
		w.WriteHeader(http.StatusOK)
		flush := http.NewResponseController(w).Flush
		flush()
		for z := (&inflater{window: window}); ; flush() {
			f, err := joined(func() (reqwstest.Frame, error) { return reqwstest.Decode(r.Body) })
			p := f.Payload
			if err == nil && f.RSV&reqwstest.RSV1 != 0 {
				p, err = z.inflate(p)
			}
			if err != nil {
				return
			}
			w.Write(reqwstest.Encode(reqwstest.Text(p)))
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	inTurnsAndAtOnce(t, func(t *testing.T) []exchange {
		var all []exchange
		for i := range 12 {
			mode := []websocket.CompressionMode{takeover, noTakeover, websocket.CompressionDisabled}[i%3]
			all = append(all, crossing(t, fmt.Sprint("HTTP/2, ", mode), reqws.New(reqws.URL("wss"+strings.TrimPrefix(srv.URL, "https")),
				reqws.Protocols(reqws.HTTP2), reqws.TLSConfig(&tls.Config{RootCAs: roots}), reqws.Compression(mode))))
		}
		return append(all, overPlain(t, true), overCoder(t, true, takeover, takeover), overCoder(t, false, noTakeover, noTakeover))
	}, 600)
}
