package reqwstest

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// Request is an HTTP request as the server received it.
type Request struct {
	Conn       *Conn
	Time       time.Time // when it had arrived; virtual in a synctest bubble
	Method     string
	RequestURI string // as sent
	URL        *url.URL
	Proto      string
	Host       string
	Header     http.Header // without Host
	Head       []byte      // the request line and headers as sent, with the empty line
	Body       []byte
	TLS        *tls.ConnectionState // nil without TLS
}

// ReadRequest reads and records one request with its body.
func (c *Conn) ReadRequest() (*Request, error) {
	head, err := c.readHead()
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w after %s", err, quote(head))
	}
	parsed, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w in %s", err, quote(head))
	}
	r := &Request{
		Conn: c, Method: parsed.Method, RequestURI: parsed.RequestURI, URL: parsed.URL, Proto: parsed.Proto,
		Host: parsed.Host, Header: parsed.Header, Head: head,
	}
	if r.Body, err = c.readBody(parsed); err != nil {
		return nil, fmt.Errorf("reading the body of %s %s: %w", r.Method, r.RequestURI, err)
	}
	if c.tls != nil {
		state := c.tls.ConnectionState()
		r.TLS = &state
	}
	r.Time = time.Now()
	c.srv.mu.Lock()
	c.srv.requests = append(c.srv.requests, r)
	c.srv.mu.Unlock()
	return r, nil
}

func (c *Conn) readHead() ([]byte, error) {
	const most = 1 << 20
	var head []byte
	for len(head) < most {
		line, err := c.r.ReadBytes('\n')
		head = append(head, line...)
		if err != nil {
			if len(head) > 0 {
				err = inside(err)
			}
			return head, err
		}
		if !bytes.HasSuffix(line, []byte("\r\n")) {
			return head, errors.New("a line that does not end in CR LF")
		}
		if len(line) == 2 {
			return head, nil
		}
	}
	return head, fmt.Errorf("the head is longer than %d bytes", most)
}

func (c *Conn) readBody(r *http.Request) ([]byte, error) {
	if len(r.TransferEncoding) == 0 {
		body := make([]byte, max(r.ContentLength, 0))
		_, err := io.ReadFull(c.r, body)
		return body, err
	}
	body, err := io.ReadAll(httputil.NewChunkedReader(c.r))
	if err != nil {
		return body, err
	}
	for { // trailers, up to the empty line
		line, err := c.r.ReadString('\n')
		if err != nil || strings.TrimRight(line, "\r\n") == "" {
			return body, err
		}
	}
}

// readUpgrade reads an opening handshake and holds it to RFC 6455, section 4.1.
func (c *Conn) readUpgrade() (*Request, error) {
	r, err := c.ReadRequest()
	if err != nil {
		return nil, err
	}
	return r, c.srv.checkUpgrade(r)
}

func (s *Server) checkUpgrade(r *Request) error {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != "GET":
		return violationf("4.1", "the handshake's method is %s", r.Method)
	case r.Proto != "HTTP/1.1":
		return violationf("4.1", "the handshake is in %s", r.Proto)
	case r.Host == "":
		return violationf("4.1", "the handshake has no Host header")
	case !strings.HasPrefix(r.RequestURI, "/"):
		return violationf("4.1", "the handshake asks for %s", quote(r.RequestURI))
	case len(r.Body) > 0:
		return violationf("4.1", "the handshake has a body: %s", quote(r.Body))
	case !hasToken(r.Header.Values("Connection"), "upgrade"):
		return violationf("4.1", "Connection is %q", r.Header.Values("Connection"))
	case !hasToken(r.Header.Values("Upgrade"), "websocket"):
		return violationf("4.1", "Upgrade is %q", r.Header.Values("Upgrade"))
	case strings.Join(r.Header.Values("Sec-WebSocket-Version"), ",") != "13":
		return violationf("4.1", "Sec-WebSocket-Version is %q", r.Header.Values("Sec-WebSocket-Version"))
	case len(r.Header.Values("Sec-WebSocket-Key")) != 1 || err != nil || len(key) != 16:
		return violationf("4.1", "Sec-WebSocket-Key is %q, not 16 bytes in base64", r.Header.Values("Sec-WebSocket-Key"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, used := s.keys[string(key)]; used {
		return violationf("4.1", "Sec-WebSocket-Key is the same as on connection %d", before)
	}
	s.keys[string(key)] = r.Conn.n
	return nil
}

func hasToken(values []string, want string) bool {
	for token := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if strings.EqualFold(strings.TrimSpace(token), want) {
			return true
		}
	}
	return false
}

// AcceptOption changes what Accept answers.
type AcceptOption func(*answer)

type answer struct {
	header [][2]string
	after  []byte
}

// WithHeader adds a header to the 101. If it is a Sec-WebSocket-Extensions with
// permessage-deflate, what the client sends is inflated as the parameters say.
func WithHeader(name, value string) AcceptOption {
	return func(a *answer) { a.header = append(a.header, [2]string{name, value}) }
}

// Without leaves a header out of the 101, such as Upgrade.
func Without(name string) AcceptOption {
	return func(a *answer) {
		var kept [][2]string
		for _, h := range a.header {
			if !strings.EqualFold(h[0], name) {
				kept = append(kept, h)
			}
		}
		a.header = kept
	}
}

// WithSubprotocol chooses a subprotocol, offered or not.
func WithSubprotocol(name string) AcceptOption { return WithHeader("Sec-WebSocket-Protocol", name) }

// WithFrames sends frames in the same write as the 101.
func WithFrames(frames ...Frame) AcceptOption {
	return func(a *answer) { a.after = append(a.after, Encode(frames...)...) }
}

// Accept reads an opening handshake, holds it to RFC 6455, section 4.1, and
// answers it with 101.
func Accept(options ...AcceptOption) Step {
	return step(func(c *Conn) error { return c.accept(options) }, "Accept")
}

func (c *Conn) accept(options []AcceptOption) error {
	r, err := c.readUpgrade()
	if err != nil {
		return err
	}
	a := &answer{header: [][2]string{
		{"Upgrade", "websocket"},
		{"Connection", "Upgrade"},
		{"Sec-WebSocket-Accept", AcceptKey(r.Header.Get("Sec-WebSocket-Key"))},
	}}
	for _, o := range options {
		o(a)
	}
	head := "HTTP/1.1 101 Switching Protocols\r\n"
	for _, h := range a.header {
		head += h[0] + ": " + h[1] + "\r\n"
		if strings.EqualFold(h[0], "Sec-WebSocket-Extensions") {
			c.rules.deflate = strings.Contains(h[1], "permessage-deflate")
			c.rules.noTakeover = strings.Contains(h[1], "client_no_context_takeover")
		}
	}
	c.inside = true
	_, err = c.Write(append([]byte(head+"\r\n"), a.after...))
	return err
}

// AcceptKey is the Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key
// (RFC 6455, section 4.2.2), for answers written by hand.
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Refuse reads an opening handshake, checks it as Accept does, and answers with
// an ordinary response. header may be nil. As a script's last step it announces
// Connection: close.
func Refuse(status int, header http.Header, body string) Step {
	return step(func(c *Conn) error {
		r, err := c.readUpgrade()
		if err != nil {
			return err
		}
		return c.respond(r, status, header, body)
	}, "Refuse(%d)", status)
}

// Respond reads a request of any kind and answers it. header may be nil. As a
// script's last step it announces Connection: close; otherwise the next step can
// read another request.
func Respond(status int, header http.Header, body string) Step {
	return step(func(c *Conn) error { return c.answer(status, header, body) }, "Respond(%d)", status)
}

// Redirect reads a request of any kind and answers it with a Location.
func Redirect(status int, location string) Step {
	header := http.Header{"Location": {location}}
	return step(func(c *Conn) error { return c.answer(status, header, "") }, "Redirect(%d, %q)", status, location)
}

// RespondChunks reads a request of any kind and answers it with 200 and a chunked
// body, each chunk in a write of its own (in memory: once the client has read what
// was before).
func RespondChunks(chunks ...string) Step {
	return step(func(c *Conn) error {
		if err := c.answer(http.StatusOK, http.Header{"Transfer-Encoding": {"chunked"}}, ""); err != nil {
			return err
		}
		for _, chunk := range chunks {
			if chunk == "" { // it would be the end
				continue
			}
			if err := c.writeNext(fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk)); err != nil {
				return err
			}
		}
		return c.writeNext("0\r\n\r\n")
	}, "RespondChunks(%d chunks)", len(chunks))
}

// writeNext writes once, in memory, the client has read what was before.
func (c *Conn) writeNext(p string) error {
	c.flush()
	_, err := c.Write([]byte(p))
	return err
}

// answer reads a request of any kind and answers it.
func (c *Conn) answer(status int, header http.Header, body string) error {
	r, err := c.ReadRequest()
	if err != nil {
		return err
	}
	return c.respond(r, status, header, body)
}

func (c *Conn) respond(r *Request, status int, header http.Header, body string) error {
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if c.last() && h.Get("Connection") == "" {
		h.Set("Connection", "close")
	}
	bodyless := status < 200 || status == 204 || status == 304
	if !bodyless && h.Get("Content-Length") == "" && h.Get("Transfer-Encoding") == "" {
		h.Set("Content-Length", fmt.Sprint(len(body)))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	h.Write(&b)
	b.WriteString("\r\n")
	if !bodyless && r.Method != "HEAD" {
		b.WriteString(body)
	}
	_, err := c.Write(b.Bytes())
	return err
}

// last says whether this is the script's last step.
func (c *Conn) last() bool {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	return c.step == len(c.script.steps)
}
