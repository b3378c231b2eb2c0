package reqws_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// opening is one demand of RFC 6455 on the opening handshake. Each is asked of Do, Run and Dial.
type opening struct {
	section string
	asks    string
	url     string // ws://example.com/chat where it is empty
	opts    []reqws.Option
	server  []reqwstest.Option                       // its scripts; nil: it opens, and closes in good order
	fails   string                                   // a part of the error; "" if it opens
	sees    func(is *is.I, got []*reqwstest.Request) // what it was sent
}

// opens is a server that opens a WebSocket, and closes it.
func opens(options ...reqwstest.AcceptOption) *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Accept(append(options, reqwstest.WithFrames(reqwstest.Close(1000, "")))...))
}

func (o opening) check(t *testing.T) {
	for name, way := range ways {
		t.Run(fmt.Sprintf("%s %s/%s", o.section, o.asks, name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				server := o.server
				if server == nil {
					server = []reqwstest.Option{opens()}
				}
				srv := reqwstest.NewMemory(t, server...)
				req := to(srv, reqws.URL("ws://example.com/chat"), reqws.Proxy(nil)).With(o.opts...)
				if o.url != "" {
					req = req.With(reqws.URL(o.url))
				}
				err := way(t.Context(), req)
				if o.fails == "" {
					is.NoErr(err)
				} else if is.True(err != nil); !strings.Contains(err.Error(), o.fails) {
					t.Errorf("%q does not say %q", err, o.fails)
				}
				if o.sees != nil {
					is.NoErr(srv.Wait(t.Context()))
					o.sees(is, srv.Requests())
				}
			})
		})
	}
}

// RFC 6455, sections 3 and 4.1, up to the request: which connection it is sent over.
//
// One demand is not met, on purpose: item 2 wants the connections to one address to be opened one after the
// other. It shields servers from scripts in a browser; a program that opens thousands of streams bounds them itself.
func TestConformanceConnecting(t *testing.T) {
	none := []reqwstest.Option{reqwstest.Script().Repeat()} // nobody is to come
	nobody := func(is *is.I, got []*reqwstest.Request) { is.Equal(len(got), 0) }
	untrusted := []reqwstest.Option{reqwstest.TLS(), reqwstest.Script(wiretest.ExpectTLSError())}
	for _, o := range []opening{
		{section: "3", asks: "no fragment", url: "ws://example.com/#top", server: none, fails: "fragment", sees: nobody},
		{section: "3", asks: "a # that begins no fragment is escaped", url: "ws://example.com/:name", opts: []reqws.Option{reqws.PathParams(map[string]any{"name": "a#b"}), reqws.Param("q", "c#d")},
			sees: func(is *is.I, got []*reqwstest.Request) { is.Equal(got[0].RequestURI, "/a%23b?q=c%23d") }},
		{section: "4.1, item 1", asks: "a URI needs a scheme", url: "example.com/chat", server: none, fails: "URL", sees: nobody},
		{section: "4.1, item 1", asks: "a URI has a scheme that is known", url: "wsx://example.com/chat", server: none, fails: "scheme", sees: nobody},
		{section: "4.1, item 1", asks: "a URI needs a host", url: "ws:///chat", server: none, fails: "host", sees: nobody},
		{section: "4.1, item 1", asks: "a host has no spaces", url: "ws://exa mple.com/", server: none, fails: "URL", sees: nobody},
		{section: "4.1, item 1", asks: "a port is a number", url: "ws://example.com:http/", server: none, fails: "URL", sees: nobody},
		{section: "4.1, item 1", asks: "a port is one that can be", url: "ws://example.com:65536/", server: none, fails: "port", sees: nobody},
		{section: "4.1, item 3", asks: "a proxy is asked for a connection to host and port", opts: []reqws.Option{reqws.ProxyURL("http://proxy.example:3128")},
			server: []reqwstest.Option{reqwstest.Script(wiretest.RawResponse("HTTP/1.1 200 OK\r\n\r\n"), reqwstest.Accept(reqwstest.WithFrames(reqwstest.Close(1000, ""))))},
			sees: func(is *is.I, got []*reqwstest.Request) {
				is.Equal(got[0].Method+" "+got[0].RequestURI+" "+got[0].Host, "CONNECT example.com:80 example.com:80")
				is.Equal(got[1].Method+" "+got[1].RequestURI, "GET /chat")
			}},
		{section: "4.1, item 4", asks: "a connection that cannot be made is a failure", server: []reqwstest.Option{reqwstest.DialError(syscall.ECONNREFUSED)}, fails: "refused"},
		{section: "4.1, item 4", asks: "a proxy's refusal is a failure", opts: []reqws.Option{reqws.ProxyURL("http://proxy.example:3128")},
			server: []reqwstest.Option{reqwstest.Script(reqwstest.Respond(403, nil, ""))}, fails: "proxy"},
		{section: "4.1, item 5", asks: "wss is TLS before the first byte of the request, with the server's name", url: "wss://example.com/chat", server: []reqwstest.Option{reqwstest.TLS(), opens()},
			sees: func(is *is.I, got []*reqwstest.Request) {
				is.True(got[0].TLS != nil && got[0].TLS.HandshakeComplete)
				is.Equal(got[0].TLS.ServerName, "example.com")
			}},
		{section: "4.1, item 5", asks: "a certificate that cannot be verified is a failure", url: "wss://example.com/chat", opts: []reqws.Option{reqws.TLSConfig(nil)},
			server: untrusted, fails: "certificate", sees: nobody},
		{section: "4.1, item 5", asks: "a certificate for another host is a failure", url: "wss://example.org/chat", server: untrusted, fails: "example.org", sees: nobody},
		{section: "4.1, item 5", asks: "a server without TLS is a failure", url: "wss://example.com/chat",
			server: []reqwstest.Option{reqwstest.Script(wiretest.SendRaw("HTTP/1.1 400 Bad Request\r\n\r\n"))}, fails: "tls", sees: nobody},
	} {
		o.check(t)
	}
}

// RFC 6455, section 4.1, the request.
func TestConformanceRequest(t *testing.T) {
	head := func(name string, want ...string) func(*is.I, []*reqwstest.Request) {
		return func(is *is.I, got []*reqwstest.Request) { is.Equal(got[0].Header.Values(name), want) }
	}
	host := func(want string) func(*is.I, []*reqwstest.Request) {
		return func(is *is.I, got []*reqwstest.Request) { is.Equal(got[0].Host, want) }
	}
	line := func(want string) func(*is.I, []*reqwstest.Request) {
		return func(is *is.I, got []*reqwstest.Request) { is.True(bytes.HasPrefix(got[0].Head, []byte(want+"\r\n"))) }
	}
	for _, o := range []opening{
		{section: "4.1, item 1", asks: "it is a request of HTTP/1.1, line by line", sees: func(is *is.I, got []*reqwstest.Request) {
			lines := strings.Split(strings.TrimSuffix(string(got[0].Head), "\r\n\r\n"), "\r\n")
			for _, l := range lines[1:] {
				name, value, ok := strings.Cut(l, ": ")
				is.True(ok && name != "" && !strings.ContainsAny(name, " \t\r\n") && value == strings.TrimSpace(value) && value != "")
			}
			is.Equal(len(got[0].Body), 0)
			is.Equal(got[0].Header.Get("Content-Length")+got[0].Header.Get("Transfer-Encoding"), "")
		}},
		{section: "4.1, item 2", asks: "the method is GET, the version 1.1", sees: line("GET /chat HTTP/1.1")},
		{section: "4.1, item 2", asks: "whatever method plain requests have", opts: []reqws.Option{reqws.Method("POST")}, sees: line("GET /chat HTTP/1.1")},
		{section: "4.1, item 3", asks: "the resource name is path and query", url: "ws://example.com/a%2Fb/%C3%A4?x=%20&y", sees: line("GET /a%2Fb/%C3%A4?x=%20&y HTTP/1.1")},
		{section: "4.1, item 3", asks: "a path that is empty is a slash", url: "ws://example.com?x=1", sees: line("GET /?x=1 HTTP/1.1")},
		{section: "4.1, item 4", asks: "Host is the host", sees: host("example.com")},
		{section: "4.1, item 4", asks: "Host has a port that is not the default", url: "ws://example.com:8080/", sees: host("example.com:8080")},
		{section: "4.1, item 4", asks: "443 is not the default of ws", url: "ws://example.com:443/", sees: host("example.com:443")},
		{section: "4.1, item 4", asks: "Host has no port that is the default", url: "ws://example.com:80/", sees: host("example.com")},
		{section: "4.1, item 4", asks: "Host is there once", sees: func(is *is.I, got []*reqwstest.Request) {
			is.Equal(bytes.Count(bytes.ToLower(got[0].Head), []byte("\r\nhost:")), 1)
		}},
		{section: "4.1, item 4", asks: "an IPv6 address is in brackets", url: "ws://[2001:db8::1]:9000/", sees: host("[2001:db8::1]:9000")},
		{section: "4.1, item 5", asks: "Upgrade is websocket", sees: head("Upgrade", "websocket")},
		{section: "4.1, item 5", asks: "whatever a step says", opts: []reqws.Option{reqws.Use(sets("Upgrade", "h2c"))}, sees: head("Upgrade", "websocket")},
		{section: "4.1, item 6", asks: "Connection is Upgrade", sees: head("Connection", "Upgrade")},
		{section: "4.1, item 6", asks: "whatever a step says", opts: []reqws.Option{reqws.Use(sets("Connection", "keep-alive"))}, sees: head("Connection", "Upgrade")},
		{section: "4.1, item 7", asks: "the key is 16 bytes in base64, once", sees: func(is *is.I, got []*reqwstest.Request) {
			keys := got[0].Header.Values("Sec-WebSocket-Key")
			is.Equal(len(keys), 1)
			key, err := base64.StdEncoding.Strict().DecodeString(keys[0])
			is.NoErr(err)
			is.Equal(len(key), 16)
		}},
		{section: "4.1, item 7", asks: "the key is not one that a step has set", opts: []reqws.Option{reqws.Use(sets("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))}, sees: func(is *is.I, got []*reqwstest.Request) {
			is.True(!slices.Contains(got[0].Header.Values("Sec-WebSocket-Key"), "dGhlIHNhbXBsZSBub25jZQ=="))
			is.Equal(len(got[0].Header.Values("Sec-WebSocket-Key")), 1)
		}},
		{section: "4.1, item 7", asks: "the key is random for each connection, of retries and redirects too",
			opts: []reqws.Option{reqws.Retry(reqws.SafeTransient), reqws.RetryDelay(func(int) time.Duration { return 0 })},
			server: []reqwstest.Option{
				reqwstest.Script(reqwstest.Refuse(503, nil, "")), reqwstest.Script(reqwstest.Redirect(302, "/b")), opens(),
			},
			sees: func(is *is.I, got []*reqwstest.Request) { is.NoErr(distinctKeys(got, 3)) }},
		{section: "4.1, item 8", asks: "Origin is the user's to send", opts: []reqws.Option{reqws.Header("Origin", "https://example.com")}, sees: head("Origin", "https://example.com")},
		{section: "4.1, item 8", asks: "no browser, no Origin", sees: head("Origin")},
		{section: "4.1, item 9", asks: "the version is 13", sees: head("Sec-WebSocket-Version", "13")},
		{section: "4.1, item 9", asks: "whatever a step says", opts: []reqws.Option{reqws.Use(sets("Sec-WebSocket-Version", "8"))}, sees: head("Sec-WebSocket-Version", "13")},
		{section: "4.1, item 10", asks: "no subprotocol asked for, no header", sees: head("Sec-WebSocket-Protocol")},
		{section: "4.1, item 10", asks: "subprotocols in order of preference, in one field", opts: []reqws.Option{reqws.Subprotocols("v2.chat", "chat")}, sees: head("Sec-WebSocket-Protocol", "v2.chat,chat")},
		{section: "4.1, item 10", asks: "a subprotocol is not empty", opts: []reqws.Option{reqws.Subprotocols("a", "")}, server: []reqwstest.Option{reqwstest.Script().Repeat()}, fails: "Subprotocols"},
		{section: "4.1, item 10", asks: "a subprotocol has no separators", opts: []reqws.Option{reqws.Subprotocols("a/b")}, server: []reqwstest.Option{reqwstest.Script().Repeat()}, fails: "Subprotocols"},
		{section: "4.1, item 10", asks: "a subprotocol has printable ASCII alone", opts: []reqws.Option{reqws.Subprotocols("ä")}, server: []reqwstest.Option{reqwstest.Script().Repeat()}, fails: "Subprotocols"},
		{section: "4.1, item 10", asks: "subprotocols are unique", opts: []reqws.Option{reqws.Subprotocols("a", "b", "a")}, server: []reqwstest.Option{reqwstest.Script().Repeat()}, fails: "Subprotocols"},
		{section: "4.1, item 10", asks: "subprotocols are unique, those of a header too", opts: []reqws.Option{reqws.Header("Sec-WebSocket-Protocol", "a, b, a")}, sees: head("Sec-WebSocket-Protocol", "a,b")},
		{section: "4.1, item 11", asks: "no extension asked for, no header", sees: head("Sec-WebSocket-Extensions")},
		{section: "4.1, item 12", asks: "any other header may be sent", opts: []reqws.Option{reqws.Auth(reqws.Bearer("t")), reqws.Header("Cookie", "a=b")}, sees: func(is *is.I, got []*reqwstest.Request) {
			is.Equal(got[0].Header.Get("Authorization"), "Bearer t")
			is.Equal(got[0].Header.Get("Cookie"), "a=b")
		}},
	} {
		o.check(t)
	}
}

// sets is a step that sets a header.
func sets(name, value string) reqws.Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set(name, value)
			return next.RoundTrip(req)
		})
	}
}

// distinctKeys wants n requests, each with a key of its own.
func distinctKeys(got []*reqwstest.Request, n int) error {
	seen := map[string]bool{}
	for _, r := range got {
		seen[r.Header.Get("Sec-WebSocket-Key")] = true
	}
	if len(got) != n || len(seen) != n {
		return fmt.Errorf("%d requests with %d keys, want %d of both", len(got), len(seen), n)
	}
	return nil
}

// RFC 6455, sections 4.1 (the answer), 4.2.2, 4.4, 9.1 and 11.3.
//
// Two things are taken that section 4.2.2 calls illegal, and that mean what they look like: an empty
// Sec-WebSocket-Extensions, and an empty Sec-WebSocket-Protocol (see TestHeadersThatDoNotMatterInA101).
func TestConformanceAnswer(t *testing.T) {
	with := func(name string, values ...string) []reqwstest.Option {
		change := []reqwstest.AcceptOption{reqwstest.Without(name)}
		for _, v := range values {
			change = append(change, reqwstest.WithHeader(name, v))
		}
		return []reqwstest.Option{opens(change...)}
	}
	refusal := func(status int, header http.Header) []reqwstest.Option {
		return []reqwstest.Option{reqwstest.Script(reqwstest.Refuse(status, header, ""))}
	}
	// keyed answers with an accept made of the right one.
	keyed := func(change func(accept string) string) []reqwstest.Option {
		return []reqwstest.Option{reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
			r, err := c.ReadRequest()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nCONNECTION: upgrade\r\nsec-websocket-accept:%s\r\n\r\n\x88\x02\x03\xe8",
				change(reqwstest.AcceptKey(r.Header.Get("Sec-WebSocket-Key"))))
			return err
		}))}
	}
	offers := []reqws.Option{reqws.Compression(takeover)}
	asks := []reqws.Option{reqws.Subprotocols("chat", "superchat")}
	for _, o := range []opening{
		{section: "4.1, item 1", asks: "a status other than 101 is an answer of HTTP", server: refusal(403, nil), fails: "403"},
		{section: "4.1, item 1", asks: "a 200 opens nothing", server: refusal(200, nil), fails: "200"},
		{section: "4.1, item 1", asks: "a 401 is an answer that a step may act on", opts: []reqws.Option{reqws.Use(authenticates)},
			server: []reqwstest.Option{reqwstest.Script(reqwstest.Refuse(401, http.Header{"Www-Authenticate": {"Custom"}}, "")), opens()},
			sees:   func(is *is.I, got []*reqwstest.Request) { is.Equal(got[1].Header.Get("Authorization"), "Custom x") }},
		{section: "4.1, item 1", asks: "a redirect is followed", server: []reqwstest.Option{reqwstest.Script(reqwstest.Redirect(307, "/elsewhere")), opens()},
			sees: func(is *is.I, got []*reqwstest.Request) { is.Equal(got[1].RequestURI, "/elsewhere") }},
		{section: "4.1, item 2", asks: "Upgrade is needed", server: with("Upgrade"), fails: "Upgrade"},
		{section: "4.1, item 2", asks: "Upgrade is websocket and nothing else", server: with("Upgrade", "h2c"), fails: "Upgrade"},
		{section: "4.1, item 2", asks: "Upgrade is no list", server: with("Upgrade", "websocket, h2c"), fails: "Upgrade"},
		{section: "4.1, item 2", asks: "Upgrade is no list of two lines", server: with("Upgrade", "h2c", "websocket"), fails: "Upgrade"},
		{section: "4.1, item 2", asks: "Upgrade is not empty", server: with("Upgrade", ""), fails: "Upgrade"},
		{section: "4.1, item 2", asks: "websocket in any case", server: with("Upgrade", "WebSocket")},
		{section: "4.1, item 3", asks: "Connection is needed", server: with("Connection"), fails: "Connection"},
		{section: "4.1, item 3", asks: "Connection has the token Upgrade", server: with("Connection", "keep-alive"), fails: "Connection"},
		{section: "4.1, item 3", asks: "a token is a whole one", server: with("Connection", "Upgraded, not-upgrade"), fails: "Connection"},
		{section: "4.1, item 3", asks: "Connection may have other tokens", server: with("Connection", "keep-alive, uPGRADE")},
		{section: "4.1, item 3", asks: "Connection may have other lines", server: with("Connection", "keep-alive", "Upgrade")},
		{section: "4.1, item 4", asks: "Sec-WebSocket-Accept is needed", server: with("Sec-WebSocket-Accept"), fails: "Sec-WebSocket-Accept"},
		{section: "4.1, item 4", asks: "Sec-WebSocket-Accept is not empty", server: with("Sec-WebSocket-Accept", ""), fails: "Sec-WebSocket-Accept"},
		{section: "4.1, item 4", asks: "Sec-WebSocket-Accept answers this key", server: with("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), fails: "Sec-WebSocket-Accept"},
		{section: "4.1, item 4", asks: "the accept is base64, where case counts", server: keyed(swapCase), fails: "Sec-WebSocket-Accept"},
		{section: "4.1, item 4", asks: "the accept has nothing behind it", server: keyed(func(a string) string { return a + "=" }), fails: "Sec-WebSocket-Accept"},
		{section: "4.1, item 4", asks: "space around the accept does not count", server: keyed(func(a string) string { return " \t" + a + " \t " })},
		{section: "4.1, item 4", asks: "names of headers are equal in any case", server: keyed(func(a string) string { return a })},
		{section: "4.1, item 5", asks: "an extension that was not asked for", server: with("Sec-WebSocket-Extensions", "permessage-deflate"), fails: "xtension"},
		{section: "4.1, item 5", asks: "another extension than asked for", opts: offers, server: with("Sec-WebSocket-Extensions", "x-webkit-deflate-frame"), fails: "xtension"},
		{section: "4.1, item 5", asks: "another one besides", opts: offers, server: with("Sec-WebSocket-Extensions", "permessage-deflate, foo"), fails: "xtension"},
		{section: "4.1, item 5", asks: "an extension that was asked for", opts: offers, server: with("Sec-WebSocket-Extensions", "permessage-deflate")},
		{section: "4.1, item 5", asks: "none, though one was asked for", opts: offers, server: with("Sec-WebSocket-Extensions")},
		{section: "4.1, item 6", asks: "a subprotocol that was not asked for", server: with("Sec-WebSocket-Protocol", "chat"), fails: "Sec-WebSocket-Protocol"},
		{section: "4.1, item 6", asks: "another subprotocol than asked for", opts: asks, server: with("Sec-WebSocket-Protocol", "other"), fails: "Sec-WebSocket-Protocol"},
		{section: "4.1, item 6", asks: "a subprotocol in another case", opts: asks, server: with("Sec-WebSocket-Protocol", "Chat"), fails: "Sec-WebSocket-Protocol"},
		{section: "4.1, item 6", asks: "one that was asked for", opts: asks, server: with("Sec-WebSocket-Protocol", "superchat")},
		{section: "4.1, item 6", asks: "none, though one was asked for", opts: asks, server: with("Sec-WebSocket-Protocol")},
		{section: "4.2.2, item 4", asks: "a subprotocol is one, not a list", opts: asks, server: with("Sec-WebSocket-Protocol", "chat, superchat"), fails: "Sec-WebSocket-Protocol"},
		{section: "4.2.2, item 5", asks: "the answer is one of HTTP", server: []reqwstest.Option{reqwstest.Script(wiretest.RawResponse("WEBSOCKET 101 OK\r\n\r\n"))}, fails: "not HTTP"},
		{section: "4.2.2, item 5", asks: "it comes to an end", server: []reqwstest.Option{reqwstest.Script(wiretest.RawResponse("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"))}, fails: "closed before"},
		{section: "4.4", asks: "a server of other versions is told to the user, with what it says", opts: []reqws.Option{reqws.Protocols(reqws.HTTP1), reqws.UseOuter(versionsAre("8, 7", "25"))},
			server: refusal(426, http.Header{"Sec-Websocket-Version": {"8, 7", "25"}}), fails: "426"},
		{section: "9.1", asks: "malformed extensions", opts: offers, server: with("Sec-WebSocket-Extensions", "permessage-deflate; =8"), fails: "xtension"},
		{section: "9.1", asks: "malformed extensions, though none was asked for", server: with("Sec-WebSocket-Extensions", ";"), fails: "xtension"},
		{section: "9.1", asks: "a quoted value is a token", opts: offers, server: with("Sec-WebSocket-Extensions", `permessage-deflate; server_max_window_bits="1 0"`), fails: "xtension"},
		{section: "9.1", asks: "a quoted value", opts: offers, server: with("Sec-WebSocket-Extensions", `permessage-deflate; server_max_window_bits="\1\0"`)},
		{section: "9.1", asks: "the list may be in several lines", opts: offers, server: with("Sec-WebSocket-Extensions", "permessage-deflate", "foo"), fails: "xtension"},
		{section: "11.3.3", asks: "Sec-WebSocket-Accept comes once", server: []reqwstest.Option{opens(reqwstest.WithHeader("Sec-WebSocket-Accept", "x"))}, fails: "more than one"},
		{section: "11.3.4", asks: "Sec-WebSocket-Protocol comes once", opts: asks, server: with("Sec-WebSocket-Protocol", "chat", "superchat"), fails: "more than one"},
	} {
		o.check(t)
	}
}

// authenticates is a step that answers a 401.
func authenticates(next http.RoundTripper) http.RoundTripper {
	return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		resp.Body.Close()
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", resp.Header.Get("Www-Authenticate")+" x")
		return next.RoundTrip(req)
	})
}

// versionsAre is a step that wants to see these versions in the answer.
func versionsAre(want ...string) reqws.Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && !slices.Equal(resp.Header.Values("Sec-WebSocket-Version"), want) {
				return nil, errors.New("the versions are not told")
			}
			return resp, err
		})
	}
}

// swapCase turns the case of all letters.
func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if l := strings.ToLower(string(r)); l != string(r) {
			return rune(l[0])
		}
		return rune(strings.ToUpper(string(r))[0])
	}, s)
}
