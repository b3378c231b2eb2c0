package reqws_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// answers are the ways in which a server of TestHandshakesAtOnceShareNothing answers.
var answers = []string{"whole", "drip", "large", "interim", "refusal", "endless refusal", "reset"}

// answerInKind answers a handshake that says which way, and repeats what it says of itself.
func answerInKind(conn *net.TCPConn) {
	defer conn.Close()
	in := make([]byte, 0, 4<<10)
	for !strings.HasSuffix(string(in), "\r\n\r\n") {
		n, err := conn.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		in = in[:len(in)+n]
	}
	value := func(name string) string {
		_, rest, _ := strings.Cut(string(in), "\r\n"+name+": ")
		v, _, _ := strings.Cut(rest, "\r\n")
		return v
	}
	id := value("X-Id")
	head := strings.TrimSuffix(switching(value("Sec-WebSocket-Key"), ""), "\r\n") + "X-Id: " + id + "\r\nx-target: " + strings.Fields(string(in))[1] + "\r\n"
	hello := string(reqwstest.Encode(reqwstest.Text(id)))
	switch value("X-Answer") {
	case "whole":
		_, _ = io.WriteString(conn, head+"\r\n"+hello)
	case "drip":
		for _, b := range []byte(head + "\r\n" + hello) {
			_, _ = conn.Write([]byte{b})
		}
	case "large":
		for i := range 32 {
			head += fmt.Sprintf("X-Large-%d: %s\r\n", i, strings.Repeat(id, 256/len(id)))
		}
		_, _ = io.WriteString(conn, head+"\r\n"+hello)
	case "interim":
		_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nX-Id: not "+id+"\r\n\r\n"+head+"\r\n"+hello)
	case "refusal":
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%[1]s", id, len(id))
	case "endless refusal":
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, 10<<10, strings.Repeat("x", 5<<10))
		_, _ = io.WriteString(conn, strings.Repeat("y", 5<<10))
	case "reset":
		_, _ = io.WriteString(conn, head[:len(head)/2])
		_ = conn.SetLinger(0)
		return
	}
	_, _ = io.Copy(io.Discard, conn)
}

// Thousands of handshakes at once use the same buffers: none gets anything of another's, and what
// one has got stays as it is, whatever comes later.
func TestHandshakesAtOnceShareNothing(t *testing.T) {
	tidy(t)
	is := is.New(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerInKind(conn.(*net.TCPConn))
		}
	}()
	req := reqws.New(reqws.URL("ws://"+ln.Addr().String()+"/:room"), reqws.Retry(reqws.Never))
	const crowd, each = 40, 50
	var wg sync.WaitGroup
	for c := range crowd {
		wg.Go(func() {
			var kept []func() error
			for n := range each {
				id, way := fmt.Sprintf("%d-%d", c, n), answers[(c+n)%len(answers)]
				check, err := shakeHands(t, req, id, way)
				if err != nil {
					t.Errorf("%s: %s: %v", id, way, err)
					return
				}
				kept = append(kept, check)
			}
			for _, check := range kept {
				if err := check(); err != nil {
					t.Error(err, "later")
				}
			}
		})
	}
	wg.Wait()
}

// shakeHands is one handshake of many. It returns what must hold for ever.
func shakeHands(t *testing.T, req *reqws.Request, id, way string) (check func() error, err error) {
	resp, err := req.Do(t.Context(), reqws.Header("X-Id", id), reqws.Header("X-Answer", way), reqws.PathParams(map[string]any{"room": id}), reqws.Param("q", id))
	var refused *reqws.HTTPError
	switch {
	case way == "reset":
		if err == nil {
			_ = resp.CloseNow()
			return nil, errors.New("it has opened")
		}
		return func() error { return nil }, nil
	case strings.HasSuffix(way, "refusal"):
		if !errors.As(err, &refused) {
			return nil, err
		}
		want := id
		if way != "refusal" {
			want = strings.Repeat("x", 5<<10) + strings.Repeat("y", 5<<10)
		}
		check = func() error {
			if refused.Header.Get("X-Id") != id || string(refused.Body) != want {
				return fmt.Errorf("%s: a refusal with %v and %d bytes", id, refused.Header, len(refused.Body))
			}
			return nil
		}
		return check, check()
	case err != nil:
		return nil, err
	}
	defer func() {
		_ = resp.CloseNow()
		_ = resp.Wait()
	}()
	check = func() error {
		h, sent := resp.Header, resp.Request
		if !slices.Equal(h["X-Id"], []string{id}) || h.Get("X-Target") != "/"+id+"?q="+id || h.Get("Upgrade") != "websocket" ||
			way == "large" && h.Get("X-Large-31") != strings.Repeat(id, 256/len(id)) {
			return fmt.Errorf("%s: an answer with %v", id, h)
		}
		if sent.Header.Get("X-Id") != id || sent.URL.Path != "/"+id || sent.URL.RawQuery != "q="+id {
			return fmt.Errorf("%s: a request with %v for %v", id, sent.Header, sent.URL)
		}
		return nil
	}
	frames, err := resp.Receive(t.Context())
	if err == nil && (len(frames) != 1 || frames[0].Text() != id) {
		err = fmt.Errorf("frames %v", frames)
	}
	if err != nil {
		return nil, err
	}
	return check, check()
}

// A step may do to its request what it likes, against the rules of net/http even: the next hop, the
// next attempt and the next execution know nothing of it.
func TestStepsSpoilNothingForOthers(t *testing.T) {
	shown := func(req *http.Request) string {
		names := make([]string, 0, len(req.Header))
		for name, values := range req.Header {
			names = append(names, fmt.Sprintf("%s=%q", name, values))
		}
		slices.Sort(names)
		return fmt.Sprint(req.Method, " ", req.URL.Path, "?", req.URL.RawQuery, " ", req.Host, " ", req.Pattern, " ", names)
	}
	spoil := func(req *http.Request) {
		for name, values := range req.Header {
			for i := range values {
				values[i] = "spoilt"
			}
			req.Header[name] = append(values, "spoilt")
		}
		req.Header["Spoilt"] = []string{"spoilt"}
		*req.URL = url.URL{Scheme: "ws", Host: "spoilt", Path: "/spoilt"}
		req.Method, req.Host, req.Pattern = "SPOILT", "spoilt", "spoilt"
	}
	for name, opts := range map[string]func(reqws.Step) []reqws.Option{
		"Use":      func(s reqws.Step) []reqws.Option { return []reqws.Option{reqws.Use(s)} },
		"Auth":     func(s reqws.Step) []reqws.Option { return []reqws.Option{reqws.Auth(s)} },
		"UseOuter": func(s reqws.Step) []reqws.Option { return []reqws.Option{reqws.UseOuter(s)} },
		"both": func(s reqws.Step) []reqws.Option {
			return []reqws.Option{reqws.Use(s), reqws.Auth(reqws.Bearer("t"))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			const executions = 3
			var scripts []reqwstest.Option
			for range executions { // refused, redirected, opened
				scripts = append(scripts,
					reqwstest.Script(reqwstest.Refuse(503, nil, "")),
					reqwstest.Script(reqwstest.Redirect(302, "/next")),
					reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()))
			}
			srv := reqwstest.New(t, scripts...)
			var seen []string
			step := func(next http.RoundTripper) http.RoundTripper {
				return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
					seen = append(seen, shown(req))
					resp, err := next.RoundTrip(req.Clone(req.Context()))
					spoil(req)
					return resp, err
				})
			}
			req := to(srv, append(opts(step),
				reqws.BaseURL(srv.URL), reqws.URL("/:room"), reqws.PathParams(map[string]any{"room": "r"}), reqws.Param("a", "b"),
				reqws.Header("X-List", []string{"one", "two"}), reqws.Header("Origin", "http://o.example"),
				reqws.RetryFunc(func(*http.Request, *http.Response, error) reqws.RetryDecision { return reqws.AgainAfter(0) }))...)
			for range executions {
				resp, err := req.Do(t.Context())
				is.NoErr(err)
				is.Equal(resp.Request.URL.Path, "/next")
				is.Equal(resp.Request.Header["X-List"], []string{"one", "two"})
				_ = resp.CloseNow()
				_ = resp.Wait()
			}
			n := len(seen) / executions
			for i, s := range seen {
				is.True(!strings.Contains(s, "spoilt") && !strings.Contains(s, "SPOILT"))
				is.Equal(s, seen[i%n])
			}
			requests := srv.Requests()
			for i, r := range requests {
				is.Equal(r.RequestURI, requests[i%3].RequestURI)
				is.Equal(r.Header["X-List"], []string{"one", "two"})
				is.Equal(r.Header["Spoilt"], []string(nil))
			}
		})
	}
}
