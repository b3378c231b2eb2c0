package reqwstest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	. "github.com/reqws/reqws/internal/wiretest"
	. "github.com/reqws/reqws/reqwstest"
)

func TestAccept(t *testing.T) {
	const rightAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // RFC 6455, section 1.3
	for _, tt := range []struct {
		name    string
		options []AcceptOption
		header  http.Header
		after   string
	}{
		{"plain", nil, http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {rightAccept}}, ""},
		{"extras", []AcceptOption{WithHeader("X-A", "1"), WithHeader("X-A", "2"), WithSubprotocol("chat"), WithHeader("Sec-WebSocket-Extensions", "foo")},
			http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {rightAccept}, "X-A": {"1", "2"}, "Sec-Websocket-Protocol": {"chat"}, "Sec-Websocket-Extensions": {"foo"}}, ""},
		{"wrong accept", []AcceptOption{Without("Sec-WebSocket-Accept"), WithHeader("Sec-WebSocket-Accept", "no")}, http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {"no"}}, ""},
		{"headers missing", []AcceptOption{Without("upgrade"), Without("Sec-WebSocket-Accept")}, http.Header{"Connection": {"Upgrade"}}, ""},
		{"frames in the same write", []AcceptOption{WithFrames(Text("a"), Ping(""))}, http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {rightAccept}}, "\x81\x01a\x89\x00"},
	} {
		for way, options := range ways {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				is := is.New(t)
				srv := New(t, append(options, Script(Accept(tt.options...)))...)
				p := dial(t, srv)
				resp := p.ask(handshake)
				is.Equal(resp.Status, "101 Switching Protocols")
				is.Equal(resp.Header, tt.header)
				rest, err := io.ReadAll(p.r)
				is.NoErr(err)
				is.Equal(string(rest), tt.after)
				p.Close()
			})
		}
	}
}

// A client in memory gets the pieces one by one, and what is in one write at once.
func TestPieces(t *testing.T) {
	for _, tt := range []struct {
		name string
		step Step
		want []string
	}{
		{"101 and frames together", Accept(WithFrames(Text("a"))), []string{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x01a"}},
		{"frames together", Send(Text("a"), Ping("")), []string{"\x81\x01a\x89\x00"}},
		{"bytes in pieces", SendSplit(2, Encode(Text("abc"))), []string{"\x81\x03", "ab", "c"}},
		{"pieces of nothing", SendSplit(0, "ab"), []string{"a", "b"}},
		{"chunks", RespondChunks("abc", "", "d"), []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n", "1\r\nd\r\n", "0\r\n\r\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := NewMemory(t, Script(tt.step))
				p := dial(t, srv)
				p.raw(handshake)
				var got []string
				buf := make([]byte, 1000)
				for {
					synctest.Wait() // all that will come has come
					n, err := p.Read(buf)
					if err == io.EOF {
						break
					}
					is.NoErr(err)
					got = append(got, string(buf[:n]))
				}
				is.Equal(got, tt.want)
				p.Close()
			})
		})
	}
}

func TestUpgradeIsChecked(t *testing.T) {
	change := func(from, to string) string { return strings.Replace(handshake, from, to, 1) }
	for _, tt := range []struct{ name, request, want string }{
		{"method", change("GET", "POST"), `section 4.1: the handshake's method is POST`},
		{"HTTP/1.0", change("HTTP/1.1", "HTTP/1.0"), `section 4.1: the handshake is in HTTP/1.0`},
		{"no host", change("Host: example.com\r\n", ""), `section 4.1: the handshake has no Host header`},
		{"absolute URL", change("GET /", "GET http://example.com/"), `section 4.1: the handshake asks for "http://example.com/chat?x=1"`},
		{"body", change("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi"), `section 4.1: the handshake has a body: "hi"`},
		{"connection", change("keep-alive, Upgrade", "keep-alive"), `section 4.1: Connection is ["keep-alive"]`},
		{"upgrade", change("websocket", "h2c"), `section 4.1: Upgrade is ["h2c"]`},
		{"version", change("13", "8"), `section 4.1: Sec-WebSocket-Version is ["8"]`},
		{"no key", change("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), `section 4.1: Sec-WebSocket-Key is [], not 16 bytes`},
		{"two keys", change("\r\n\r\n", "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), `section 4.1: Sec-WebSocket-Key is [`},
		{"key not in base64", change("dGhl", "!"), `section 4.1: Sec-WebSocket-Key is ["!IHN`},
		{"short key", change("dGhl", ""), `section 4.1: Sec-WebSocket-Key is ["IHNhbXBsZSBub25jZQ=="]`},
		{"line feeds only", change("\r\n", "\n"), `reading a request: a line that does not end in CR LF after "GET /chat?x=1 HTTP/1.1\n"`},
		{"not HTTP", "nonsense\r\n\r\n", `reading a request: malformed HTTP request "nonsense" in "nonsense\r\n\r\n"`},
		{"cut off", "GET / HTTP/1.1\r\nHo", `reading a request: unexpected EOF after "GET / HTTP/1.1\r\nHo"`},
		{"no request", "", `reading a request: EOF after ""`},
		{"endless", "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 200_000), `the head is longer than 1048576 bytes`},
		{"body cut off", change("\r\n\r\n", "\r\nContent-Length: 9\r\n\r\nhi"), `reading the body of GET /chat?x=1: unexpected EOF`},
		{"chunks cut off", change("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi"), `reading the body of GET /chat?x=1: unexpected EOF`},
	} {
		for _, step := range []Step{Accept(), Refuse(403, nil, "")} {
			t.Run(tt.name+"/"+step.String(), func(t *testing.T) {
				got := report(func(srv *Server) {
					p := dial(t, srv)
					p.Write([]byte(tt.request)) // fails when the server has had enough
					p.Close()
				}, Memory(), BufferSize(2<<20), Script(step))
				if !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		}
	}
}

func TestResponses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		step    Step
		request string
		want    string // without Connection: close
	}{
		{"refuse", Refuse(403, http.Header{"X-A": {"1"}}, "no"), handshake, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nno"},
		{"respond", Respond(200, nil, "yes"), "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"},
		{"no status text", Respond(599, nil, ""), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"},
		{"no content", Respond(204, nil, "ignored"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"head", Respond(200, nil, "not sent"), "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"},
		{"own length", Respond(200, http.Header{"Content-Length": {"9"}}, "short"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"},
		{"redirect", Redirect(302, "/there"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /there\r\n\r\n"},
		{"chunks", RespondChunks("a", "b"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"},
		{"raw", RawResponse("anything\n"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "anything\n"},
	} {
		for way, options := range ways {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				is := is.New(t)
				srv := New(t, append(options, Script(tt.step))...)
				p := dial(t, srv)
				p.raw(tt.request)
				got, err := io.ReadAll(p.r)
				is.NoErr(err)
				is.Equal(strings.Replace(string(got), "Connection: close\r\n", "", 1), tt.want)
				is.Equal(strings.Contains(string(got), "Connection: close"), tt.name != "raw")
				p.Close()
			})
		}
	}
}

func TestOneConnectionManyRequests(t *testing.T) {
	is := is.New(t)
	srv := NewTLS(t, Script(
		Respond(401, http.Header{"Www-Authenticate": {"Basic"}}, "who?"),
		Redirect(307, "/b"),
		RespondChunks("a", "b"),
		Respond(200, http.Header{"Connection": {"keep-alive"}}, ""),
	))
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: srv.TLSConfig()},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for _, want := range []string{"401 who?", "307 ", "200 ab", "200 "} {
		resp, err := client.Post(srv.HTTPURL()+"/a?b=c", "text/plain", io.MultiReader(strings.NewReader("bo"), strings.NewReader("dy")))
		is.NoErr(err)
		body, err := io.ReadAll(resp.Body)
		is.NoErr(err)
		resp.Body.Close()
		is.Equal(resp.Status[:3]+" "+string(body), want)
	}
	requests := srv.Requests()
	is.Equal(len(requests), 4)
	is.Equal(len(srv.Conns()), 1)
	r := requests[3]
	is.Equal(r.Conn, srv.Conns()[0])
	is.Equal(r.Method, "POST")
	is.Equal(r.RequestURI, "/a?b=c")
	is.Equal(r.URL.Query().Get("b"), "c")
	is.Equal(r.Proto, "HTTP/1.1")
	is.Equal(r.Host, srv.Addr())
	is.Equal(r.Header.Get("Content-Type"), "text/plain")
	is.Equal(string(r.Body), "body") // it came in chunks
	is.True(strings.HasPrefix(string(r.Head), "POST /a?b=c HTTP/1.1\r\nHost: "))
	is.True(strings.HasSuffix(string(r.Head), "\r\n\r\n"))
	is.True(r.TLS.HandshakeComplete)
}

func TestAcceptKey(t *testing.T) {
	is := is.New(t)
	is.Equal(AcceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") // RFC 6455, section 1.3
}
