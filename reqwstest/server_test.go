package reqwstest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	. "github.com/reqws/reqws/internal/wiretest"
	. "github.com/reqws/reqws/reqwstest"
)

// ways are the ways to reach a server.
var ways = map[string][]Option{
	"TCP":            nil,
	"TLS":            {TLS()},
	"memory":         {Memory()},
	"TLS in memory":  {Memory(), TLS()},
	"narrow, memory": {Memory(), BufferSize(50)},
}

// Every step with a client that does what is expected.
func TestStepsThatAreMet(t *testing.T) {
	long := strings.Repeat("0123456789", 7000)
	for _, tt := range []struct {
		name   string
		steps  []Step
		client func(*is.I, *peer)
	}{
		{"nothing", nil, func(is *is.I, p *peer) {}},
		{"send each kind", []Step{Accept(), SendText("é"), SendBinary([]byte{0xFF}), SendPing("i"), SendPong("o"), SendClose(1001, "bye"), SendClose(0, "")}, func(is *is.I, p *peer) {
			p.ask(handshake)
			for _, want := range []string{`text "é"`, `binary "\xff"`, `ping "i"`, `pong "o"`, `close 1001 "bye"`, `close ""`, "EOF"} {
				is.Equal(p.next(), want)
			}
		}},
		{"send what no server should", []Step{Accept(), Send(Frame{Op: 3, RSV: RSV2}, Text("a")), SendRaw("\x81\x7e\x00\x01b")}, func(is *is.I, p *peer) {
			p.ask(handshake)
			is.Equal(p.next(), `opcode 0x3 "" without FIN with RSV2`)
			is.Equal(p.next(), `text "a"`)
			f, err := Decode(p.r)
			is.NoErr(err)
			is.Equal(f.LengthBits, 16)
		}},
		{"send in pieces", []Step{Accept(), SendSplit(1, Encode(Text("héllo"))), SendSplit(100, "\x89\x00")}, func(is *is.I, p *peer) {
			p.ask(handshake)
			is.Equal(p.next(), `text "héllo"`)
			is.Equal(p.next(), `ping ""`)
		}},
		{"expect each kind", []Step{Accept(), ExpectText("é"), ExpectBinary([]byte{0xFF}), ExpectPing("i"), ExpectPong("o"), ExpectClose(1000, "bye"), ExpectEOF()}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(Text("é"), Binary("\xff"), Ping("i"), Pong("o"), Close(1000, "bye"))
		}},
		{"expect an empty close", []Step{Accept(), ExpectClose(0, "")}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(Close(0, ""))
		}},
		{"expect a close code", []Step{Accept(), ExpectCloseCode(1002)}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(Close(1002, "whatever"))
		}},
		{"expect a fragmented message", []Step{Accept(), ExpectText(long)}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(Fragments(len(long)-1, Text(long))...)
		}},
		{"expect frames", []Step{Accept(), ExpectFrames(Frame{Op: OpText, Payload: []byte("a")}, Ping("x")), ExpectFrames(Frame{Fin: true, Payload: []byte("b")})}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(Frame{Op: OpText, Payload: []byte("a")}, Ping("x"), Frame{Fin: true, Payload: []byte("b")})
		}},
		{"expect bytes", []Step{ExpectRaw("\x05\x01\x00"), SendRaw("\x05\x00")}, func(is *is.I, p *peer) {
			p.raw("\x05\x01\x00")
			b, err := io.ReadAll(p.r)
			is.NoErr(err)
			is.Equal(string(b), "\x05\x00")
		}},
		{"compressed", []Step{Accept(WithHeader("Sec-WebSocket-Extensions", "permessage-deflate")), ExpectText("aaaa"), ExpectText("aaaa"), ExpectFrames(Deflate(Text("b"))), Send(Deflate(Text("c")))}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(DeflateStream(Text("aaaa"), Text("aaaa"))...)
			p.send(Deflate(Text("b")))
			is.Equal(p.next(), Deflate(Text("c")).String())
		}},
		{"answer a ping", []Step{Accept(), AnswerPing()}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(Ping("x"))
			is.Equal(p.next(), `pong "x"`)
		}},
		{"echo", []Step{Accept(), EchoUntilClose()}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.send(Frame{Op: OpText, Payload: []byte("a")}, Ping("x"), Pong("y"), Frame{Fin: true, Payload: []byte("b")}, Close(1000, "bye"))
			for _, want := range []string{`text "a" without FIN`, `pong "x"`, `continuation "b"`, `close 1000 "bye"`, "EOF"} {
				is.Equal(p.next(), want)
			}
		}},
		{"echo until the client is gone", []Step{Accept(), EchoUntilClose()}, func(is *is.I, p *peer) {
			p.ask(handshake)
		}},
		{"half-close", []Step{Accept(), HalfClose(), ExpectText("still here"), ExpectEOF()}, func(is *is.I, p *peer) {
			p.ask(handshake)
			is.Equal(p.next(), "EOF")
			p.send(Text("still here"))
		}},
		{"the client goes within a frame", []Step{Accept(), ExpectGone()}, func(is *is.I, p *peer) {
			p.ask(handshake)
			p.raw("\x81")
		}},
		{"do", []Step{Do(func(c *Conn) error {
			if _, err := c.ReadRequest(); err != nil {
				return err
			}
			if err := c.WriteFrame(Text("a")); err != nil {
				return err
			}
			f, err := c.ReadFrame()
			if err != nil {
				return err
			}
			if err := c.Play(Send(f), ExpectPing("")); err != nil {
				return err
			}
			op, payload, err := c.ReadMessage()
			if err != nil {
				return err
			}
			return c.WriteFrame(Text(op.String()), Frame{Fin: true, Op: op, Payload: payload})
		})}, func(is *is.I, p *peer) {
			p.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			is.Equal(p.next(), `text "a"`)
			p.send(Text("b"))
			is.Equal(p.next(), `text "b"`)
			p.send(Ping(""), Frame{Op: OpBinary, Payload: []byte("c")}, Frame{Fin: true, Payload: []byte("d")})
			is.Equal(p.next(), `text "binary"`)
			is.Equal(p.next(), `binary "cd"`)
		}},
	} {
		for way, options := range ways {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				NoLeaks(t)
				srv := New(t, append(options, Script(tt.steps...))...)
				p := dial(t, srv)
				tt.client(is.New(t), p)
				p.Close()
			})
		}
	}
}

// Every expectation with a client that does something else.
func TestStepsThatAreNotMet(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		name   string
		step   Step
		client func(*peer)
		want   string
	}{
		{"other text", ExpectText("hello"), func(p *peer) { p.send(Text("hallo")) }, `ExpectText("hello") (server_test.go:LINE): want text "hello", got text "hallo"`},
		{"long text", ExpectText(long), func(p *peer) { p.send(Text(long[:99])) }, `(100 bytes), got text "` + long[:80] + `"... (99 bytes); they part at byte 99: got "", want "x"`},
		{"other kind", ExpectText("hello"), func(p *peer) { p.send(Binary("hello")) }, `want text "hello", got binary "hello"`},
		{"other ping", ExpectPing("a"), func(p *peer) { p.send(Ping("b")) }, `ExpectPing("a") (server_test.go:LINE): want ping "a", got ping "b"`},
		{"pong, not binary", ExpectBinary("a"), func(p *peer) { p.send(Pong("")) }, `want binary "a", got pong ""`},
		{"text, not pong", ExpectPong(""), func(p *peer) { p.send(Text("")) }, `want pong "", got text ""`},
		{"other close", ExpectClose(1000, ""), func(p *peer) { p.send(Close(1001, "away")) }, `ExpectClose(1000, "") (server_test.go:LINE): want close 1000 "", got close 1001 "away"`},
		{"other close code", ExpectCloseCode(1000), func(p *peer) { p.send(Close(1001, "away")) }, `want close 1000 with any reason, got close 1001 "away"`},
		{"no close code", ExpectCloseCode(1000), func(p *peer) { p.Close() }, `want close 1000 with any reason, but the client closed`},
		{"a code, not none", ExpectClose(0, ""), func(p *peer) { p.send(Close(1000, "")) }, `ExpectClose(0, "") (server_test.go:LINE): want close "", got close 1000 ""`},
		{"second frame", ExpectFrames(Text("a"), Text("b")), func(p *peer) { p.send(Text("a"), Text("c")) }, `ExpectFrames(text "a", text "b") (server_test.go:LINE): want frame 2: text "b", got text "c"`},
		{"no FIN", ExpectFrames(Text("a")), func(p *peer) { p.send(Frame{Op: OpText, Payload: []byte("a")}) }, `want frame 1: text "a", got text "a" without FIN`},
		{"missing frame", ExpectFrames(Text("a")), func(p *peer) { p.Close() }, `want frame 1: text "a", but the client closed`},
		{"other bytes", ExpectRaw("abc"), func(p *peer) { p.raw("abd") }, `want "abc", got "abd"`},
		{"fewer bytes", ExpectRaw("abc"), func(p *peer) { p.raw("a"); p.Close() }, `want "abc", got "a" and then: unexpected EOF`},
		{"no ping", AnswerPing(), func(p *peer) { p.send(Pong("")) }, `want ping, got pong ""`},
		{"gone, no ping", AnswerPing(), func(p *peer) { p.Close() }, `want ping, but the client closed the connection`},
		{"gone", ExpectText("a"), func(p *peer) { p.Close() }, `want text "a", but the client closed the connection`},
		{"gone in the middle", ExpectText("a"), func(p *peer) { p.raw("\x81"); p.Close() }, `want text "a", but the client closed the connection within a frame`},
		{"not gone", ExpectEOF(), func(p *peer) { p.send(Text("a")) }, `want EOF, got text "a"`},
		{"gone with a bang", ExpectEOF(), func(p *peer) { p.raw("\x81"); p.Close() }, `want EOF: unexpected EOF`},
		{"not gone at all", ExpectGone(), func(p *peer) { p.send(Text("a")) }, `want the end, got text "a"`},
		{"bad frame in place of the end", ExpectGone(), func(p *peer) { p.raw("\x81\x00") }, `want the end: the client broke RFC 6455, section 5.1`},
		{"something", ExpectNothing(time.Hour), func(p *peer) { p.send(Text("a")) }, `ExpectNothing(1h0m0s) (server_test.go:LINE): want nothing, got text "a"`},
		{"something else", ExpectNothing(time.Hour), func(p *peer) { p.raw("GET"); p.Close() }, `want nothing, got bytes "GET"`},
		{"an end", ExpectNothing(time.Hour), func(p *peer) { p.Close() }, `want nothing, but the client closed the connection`},
		{"bad frame", ExpectText("a"), func(p *peer) { p.raw("\x81\x01a") }, `want text "a": the client broke RFC 6455, section 5.1: a frame is not masked: text "a"`},
		{"bad frame to the echo", EchoUntilClose(), func(p *peer) { p.send(Text("\xff")) }, `EchoUntilClose (server_test.go:LINE): the client broke RFC 6455, section 5.6`},
		{"second handshake", Accept(), func(p *peer) { p.raw(handshake) }, `Accept (server_test.go:LINE): the client broke RFC 6455, section 4.1: Sec-WebSocket-Key is the same as on connection 1`},
		{"do", Do(func(*Conn) error { return errors.New("no") }), func(p *peer) {}, `Do (server_test.go:LINE): no`},
		{"play", Do(func(c *Conn) error { return c.Play(ExpectText("a")) }), func(p *peer) { p.send(Text("b")) }, `want text "a", got text "b"`},
		{"goexit", Do(func(c *Conn) error { runtime.Goexit(); return nil }), func(p *peer) {}, `Do (server_test.go:LINE): left by runtime.Goexit`},
	} {
		for _, way := range []string{"TCP", "memory", "TLS in memory"} {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				is := is.New(t)
				NoLeaks(t)
				got := report(func(srv *Server) {
					p := open(t, srv)
					defer p.Close()
					tt.client(p)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					err := srv.Wait(ctx)
					is.True(err != nil) // Wait knows what failed
					is.True(ctx.Err() == nil)
					p.r.WriteTo(io.Discard) // the server has closed, so that clients do not hang
				}, append(ways[way], Script(Accept(), tt.step, SendText("never sent")), Script(Accept()))...)
				is.True(strings.HasPrefix(got, "reqwstest: connection 1, step 2 "))
				is.True(strings.Count(got, "\n") == 0) // only the cause is reported
				_, line, _ := strings.Cut(tt.step.At(), ":")
				want := strings.ReplaceAll(tt.want, "LINE", line)
				if !strings.Contains(got, want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
	}
}

func TestScriptsThatAreNotPlayed(t *testing.T) {
	// In a bubble, so that the moment that the server grants does not pass.
	for _, tt := range []struct {
		name    string
		scripts []Option
		client  func(*testing.T, *Server)
		want    []string
	}{
		{"none came", []Option{Script(Accept()), Script()}, func(*testing.T, *Server) {}, []string{"connection 1 (server_test.go:", "never came", "connection 2 ("}},
		{"one came", []Option{Script().Times(2)}, func(t *testing.T, s *Server) { dial(t, s).Close() }, []string{"connection 2 (server_test.go:"}},
		{"one too many", []Option{Script()}, func(t *testing.T, s *Server) {
			dial(t, s).Close()
			if _, err := s.DialContext(t.Context(), "tcp", "x:1"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error(err)
			}
		}, []string{"connection 2 is one too many: there are 1 scripts"}},
		{"no end", []Option{Script(Accept(), ExpectText("a"))}, func(t *testing.T, s *Server) { open(t, s) }, []string{`connection 1, step 2 ExpectText("a") (server_test.go:`, "was not finished"}},
		{"no end of a repeated one", []Option{Script(Accept(), EchoUntilClose()).Repeat()}, func(t *testing.T, s *Server) { open(t, s) }, []string{`connection 1, step 2 EchoUntilClose (server_test.go:`, "was not finished"}},
		{"no end of sleep", []Option{Script(Sleep(time.Hour))}, func(t *testing.T, s *Server) { dial(t, s) }, []string{`step 1 Sleep(1h0m0s)`, "was not finished"}},
		{"no end of a wait", []Option{Script(Await[int](nil))}, func(t *testing.T, s *Server) { dial(t, s) }, []string{`step 1 Await`, "was not finished"}},
		{"the peer does not read", []Option{Script(SendText(strings.Repeat("x", 1<<20)))}, func(t *testing.T, s *Server) { dial(t, s) }, []string{`step 1 SendText("xxx`, "was not finished"}},
		{"repeated ones need not come", []Option{Script().Repeat()}, func(*testing.T, *Server) {}, nil},
		{"repeated ones come again", []Option{Script(Respond(200, nil, "")), Script().Repeat()}, func(t *testing.T, s *Server) {
			p := dial(t, s)
			p.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			p.Close()
			for range 5 {
				dial(t, s).Close()
			}
		}, nil},
		{"a stall is an end", []Option{Script(Accept(), Stall(), SendText("never"))}, func(t *testing.T, s *Server) {
			open(t, s).send(Text("never read"))
			if err := s.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}, nil},
		{"a script that ends a bit late", []Option{Script(Sleep(time.Second))}, func(t *testing.T, s *Server) { dial(t, s) }, nil},
		{"bad frame after the script", []Option{Script(Accept())}, func(t *testing.T, s *Server) {
			p := open(t, s)
			p.send(Text("fine"))
			p.raw("\x81\x00")
			synctest.Wait()
		}, []string{"connection 1, after its script: the client broke RFC 6455, section 5.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := report(func(s *Server) { tt.client(t, s) }, append(tt.scripts, Memory())...)
				if len(tt.want) == 0 && got != "" {
					t.Error(got)
				}
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("got  %s\nwant %s", got, want)
					}
				}
			})
		})
	}
}

func TestRepeatMustBeLast(t *testing.T) {
	is := is.New(t)
	defer func() {
		is.Equal(recover(), fatal("reqwstest: script 1 of 2 repeats, so the later ones can never be played"))
	}()
	New(&recorder{}, Script().Repeat(), Script())
}

func TestTCPTooManyConnections(t *testing.T) {
	is := is.New(t)
	got := report(func(s *Server) {
		p := dial(t, s)
		defer p.Close()
		_, err := p.Read(make([]byte, 1))
		is.True(err != nil)
	})
	is.Equal(got, "reqwstest: connection 1 is one too many: there are 0 scripts")
}

func TestDialError(t *testing.T) {
	is := is.New(t)
	broken := errors.New("broken")
	for way, options := range ways {
		srv := New(t, append(options, DialError(syscall.ECONNREFUSED).Times(2), Script(), DialError(broken).Repeat())...)
		ask := func() error {
			conn, err := srv.DialContext(t.Context(), "tcp", "example.com:80")
			if err == nil {
				is.Equal(conn.Close(), nil)
			}
			return err
		}
		err := ask()
		is.True(errors.Is(err, syscall.ECONNREFUSED)) // way
		var op *net.OpError
		is.True(errors.As(err, &op) && op.Op == "dial")
		is.True(ask() != nil)
		is.NoErr(ask())
		is.NoErr(srv.Wait(t.Context()))
		is.True(errors.Is(ask(), broken))
		is.True(errors.Is(ask(), broken))
		is.Equal(len(srv.Conns()), 5)
		t.Log(way)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := NewMemory(t).DialContext(ctx, "tcp", "x:1")
	is.True(errors.Is(err, context.Canceled))

	got := report(func(s *Server) {
		conn, err := net.Dial("tcp", s.Addr())
		is.NoErr(err)
		conn.Read(make([]byte, 1))
		conn.Close()
	}, DialError(broken))
	is.True(strings.Contains(got, "connection 1 came over TCP, but its script (server_test.go:"))
}

func TestDropAndReset(t *testing.T) {
	for _, tt := range []struct {
		way  string
		step Step
		want string
	}{
		{"TCP", Drop(), "EOF"},
		{"memory", Drop(), "EOF"},
		{"TLS", Drop(), "EOF"},
		{"TCP", Reset(), syscall.ECONNRESET.Error()},
		{"TLS", Reset(), syscall.ECONNRESET.Error()},
		{"memory", Reset(), syscall.ECONNRESET.Error()},
		{"TLS in memory", Reset(), syscall.ECONNRESET.Error()},
	} {
		t.Run(tt.way+tt.step.String(), func(t *testing.T) {
			is := is.New(t)
			NoLeaks(t)
			NoFDLeaks(t)
			srv := New(t, append(ways[tt.way], Script(Accept(), tt.step))...)
			p := open(t, srv)
			defer p.Close()
			is.True(strings.HasSuffix(p.next(), tt.want))
		})
	}
}

func TestStallHoldsUpTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := NewMemory(t, BufferSize(1000), Script(Accept(), Stall()))
		p := open(t, srv)
		p.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := p.Write(make([]byte, 2000))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(n, 1000)
		is.Equal(WriteSizes(srv.Conns()[0]), []int{len(handshake), 2000})
	})
}

func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		NoLeaks(t)
		start, said := time.Now(), time.Duration(0)
		srv := NewMemory(t, TLS(),
			Script(Sleep(time.Hour), Accept(), ExpectNothing(time.Minute), ExpectText("a"), Do(func(*Conn) error {
				said = time.Since(start)
				return nil
			})),
			Script(Refuse(503, nil, "")),
		)
		p := open(t, srv)
		time.Sleep(2 * time.Minute)
		p.send(Text("a"))
		is.Equal(p.next(), "EOF")
		p.Close()
		time.Sleep(time.Second)
		p = dial(t, srv)
		p.ask(strings.Replace(handshake, "dGhl", "eGhl", 1))
		p.Close()
		is.NoErr(srv.Wait(t.Context()))

		is.Equal(srv.Requests()[0].Time.Sub(start), time.Hour)
		is.Equal(srv.Requests()[1].Time.Sub(start), time.Hour+2*time.Minute+time.Second)
		is.Equal(said, time.Hour+2*time.Minute)
	})
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		ready := make(chan struct{})
		srv := NewMemory(t, Script(Await(ready), SendText("now")))
		p := dial(t, srv)
		defer p.Close()
		p.SetReadDeadline(time.Now().Add(time.Hour))
		is.True(strings.Contains(p.next(), "timeout"))
		p.SetReadDeadline(time.Time{})
		close(ready)
		is.Equal(p.next(), `text "now"`)
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := NewMemory(t, Script(Accept(), ExpectText("a")))
		p := open(t, srv)
		defer p.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := srv.Wait(ctx)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(strings.Contains(err.Error(), `connection 1, step 2 ExpectText("a")`))
		select {
		case <-srv.Done():
			t.Error("not done yet")
		default:
		}
		p.send(Text("a"))
		<-srv.Done()
	})
}

func TestRecords(t *testing.T) {
	is := is.New(t)
	srv := NewMemory(t, Script(Accept(), ExpectText("ab"), ExpectPing("")))
	p := open(t, srv)
	p.send(Fragments(1, Text("ab"))...)
	p.send(Ping(""))
	is.NoErr(srv.Wait(t.Context()))
	p.Close()

	c := srv.Conns()[0]
	is.Equal(c.Frames(), []Frame{
		{Op: OpText, Payload: []byte("a")},
		{Fin: true, Op: OpContinuation, Payload: []byte("b")},
		Ping(""),
	})
	is.Equal(WriteSizes(c), []int{len(handshake), 14, 6}) // the fragments left in one write
	is.Equal(c.Number(), 1)
	is.Equal(srv.Requests()[0].Conn, c)

	tcp := New(t, Script())
	dial(t, tcp).Close()
	is.NoErr(tcp.Wait(t.Context()))
	is.Equal(WriteSizes(tcp.Conns()[0]), nil)
	is.Equal(tcp.HTTPURL(), "http://"+tcp.Addr())
	is.Equal(NewTLS(t).HTTPURL()[:6], "https:")
}

func TestClosedServerRefuses(t *testing.T) {
	for way, options := range ways {
		t.Run(way, func(t *testing.T) {
			is := is.New(t)
			srv := New(t, options...)
			srv.Close()
			srv.Close() // twice does no harm
			_, err := srv.DialContext(t.Context(), "tcp", "x:1")
			is.True(errors.Is(err, syscall.ECONNREFUSED))
		})
	}
}

func TestTLS(t *testing.T) {
	fails := func(is *is.I, srv *Server, change func(*tls.Config)) error {
		conn, err := srv.DialContext(t.Context(), "tcp", "")
		is.NoErr(err)
		defer conn.Close()
		config := srv.TLSConfig()
		config.ServerName = "api.example.com"
		change(config)
		c := tls.Client(conn, config)
		if err := c.Handshake(); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1)) // where TLS 1.3 tells of refused certificates
		if err == io.EOF {
			return nil
		}
		return err
	}
	for _, tt := range []struct {
		name    string
		options []Option
		change  func(*tls.Config)
		ok      bool
	}{
		{"plain", nil, func(*tls.Config) {}, true},
		{"untrusted", nil, func(c *tls.Config) { c.RootCAs = nil }, false},
		{"other name", nil, func(c *tls.Config) { c.ServerName = "example.org" }, false},
		{"ALPN http/1.1", nil, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, true},
		{"ALPN without a match", nil, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, false},
		{"ALPN h2", []Option{ALPN("h2")}, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, true},
		{"no ALPN", []Option{ALPN()}, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, true},
		{"client certificate", []Option{RequireClientCert()}, func(*tls.Config) {}, true},
		{"no client certificate", []Option{RequireClientCert()}, func(c *tls.Config) { c.Certificates = nil }, false},
	} {
		for _, way := range []Option{Memory(), TLS()} {
			t.Run(tt.name, func(t *testing.T) {
				is := is.New(t)
				script := Script(Do(func(c *Conn) error { return c.TLS().Handshake() }))
				if !tt.ok {
					script = Script(ExpectTLSError())
				}
				srv := NewTLS(t, append(tt.options, way, script)...)
				err := fails(is, srv, tt.change)
				is.Equal(err == nil, tt.ok)
			})
		}
	}
	t.Run("well, though it should fail", func(t *testing.T) {
		is := is.New(t)
		got := report(func(srv *Server) { fails(is, srv, func(*tls.Config) {}) }, TLS(), Memory(), Script(ExpectTLSError()))
		is.True(strings.HasSuffix(got, "want a failed TLS handshake, but it went well"))
		got = report(func(srv *Server) { dial(t, srv).Close() }, Memory(), Script(ExpectTLSError()))
		is.True(strings.HasSuffix(got, "the server is without TLS"))
	})
}

func TestStartTLS(t *testing.T) {
	for _, way := range []string{"TCP", "memory", "TLS"} {
		t.Run(way, func(t *testing.T) {
			is := is.New(t)
			srv := New(t, append(ways[way], Script(RawResponse("HTTP/1.1 200 OK\r\n\r\n"), StartTLS(), Accept(), SendText("inside")))...)
			p := dial(t, srv)
			p.ask("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
			config := srv.TLSConfig()
			config.ServerName = "example.com"
			inner := tls.Client(p.Conn, config)
			p = &peer{inner, t, p.r}
			p.r.Reset(inner)
			p.ask(handshake)
			is.Equal(p.next(), `text "inside"`)
			p.Close()
			is.Equal(srv.Requests()[0].Method, http.MethodConnect)
			is.Equal(srv.Requests()[0].Host, "example.com:443")
			is.Equal(srv.Requests()[1].TLS.ServerName, "example.com")
		})
	}
}
