package reqws

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http/httpguts"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// handshake is one opening handshake, and once it succeeded the connection, and the
// context by which its answer is told. What is set until then belongs to the goroutine
// that performs it, and is fixed once open is.
type handshake struct {
	context.Context // of the request
	o               *opener

	url         url.URL                       // what is sent,
	values      [len(handshakeHeaders)]string // and its headers
	body        openBody                      // of the answer
	key         string                        // Sec-WebSocket-Key
	offer       string                        // Sec-WebSocket-Extensions, if any
	noCtx       bool                          // the offer is one without context takeover
	offered     []string                      // subprotocols
	timer       *time.Timer
	cancel      context.CancelFunc // of an open one, lets go of what a user's Transport holds
	conn        *netconn.Conn
	deflate     *wire.DeflateParams
	extensions  []string // what the server accepted
	subprotocol string
	phases      Phases          // where somebody watches
	client      *websocket.Conn // coder's, where it was asked for

	open bool        // guarded by the opener's mu
	gone atomic.Bool // it was given up
}

type handshakeKey struct{}

// Value implements context.Context.
func (h *handshake) Value(key any) any {
	if key == (handshakeKey{}) {
		return h
	}
	return h.Context.Value(key)
}

// bound makes the ctx of a handshake, which ends with ConnectTimeout, or when it is given up.
func (h *handshake) bound(ctx context.Context) context.Context {
	if h.o.connect.transport == nil {
		ctx, h.cancel = h.o.connect.own.Bound(ctx)
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx) // what is open may hang on it, and goes on
	h.cancel = func() { cancel(nil) }
	if timeout := h.o.connect.timeout; timeout > 0 {
		h.timer = time.AfterFunc(timeout, func() { cancel(dial.TimeoutError(timeout)) })
	}
	return ctx
}

// stopTimer stops the timer of bound.
func (h *handshake) stopTimer() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// abandon closes what h has open, and waits for nothing. It may be called again.
func (h *handshake) abandon() {
	h.gone.Store(true)
	if h.conn != nil {
		_ = netconn.Bare(h.conn).Close()
	}
	h.stopTimer()
	if h.cancel != nil {
		h.cancel()
	}
}

// exchange sends the opening handshake of RFC 6455, section 4.1, and checks what
// comes back. If that opens a WebSocket, h.conn is set.
func (h *handshake) exchange(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := h.o.exchange(h.request(ctx, req), req.URL, func(sent *http.Request) (*http.Response, error) {
		return h.o.connect.own.Open(ctx, h.cancel, sent)
	})
	if err != nil {
		return nil, caused(ctx, failure.Unquoted(err))
	}
	_, own := resp.Body.(*netconn.Conn)
	if !opensWebSocket(resp) || resp.ProtoMajor == 2 && !own { // a Transport knows no extended CONNECT
		return resp, nil
	}
	if h.conn, err = openConn(resp.Body); err != nil {
		return nil, err
	}
	if resp.ProtoMajor != 2 {
		if err := h.switched(resp); err != nil {
			return nil, err
		}
	}
	if err := h.chosen(resp.Header.Values(protocolHeader)); err != nil {
		return nil, err
	}
	return resp, h.negotiated(resp.Header.Values("Sec-Websocket-Extensions"))
}

// request returns req as an opening handshake in http or https.
func (h *handshake) request(ctx context.Context, req *http.Request) *http.Request {
	out := req.WithContext(ctx)
	h.url = *req.URL
	h.url.Scheme = asHTTP(req.URL.Scheme)
	h.url.User, h.url.Fragment, h.url.RawFragment = nil, "", ""
	out.Method, out.URL, out.Body, out.GetBody, out.ContentLength = http.MethodGet, &h.url, nil, nil, 0
	h.key, h.offered = newKey(), protocolNames(req.Header)
	out.Header = make(http.Header, len(req.Header)+len(h.values))
	for name, values := range req.Header {
		if !isOfHandshake(name) {
			out.Header[name] = values
		}
	}
	if h.o.connect.transport != nil {
		out.Header = out.Header.Clone() // whatever that does with it
	}
	h.values = [...]string{"Upgrade", "websocket", "13", h.key, h.offer, strings.Join(h.offered, ",")}
	for i, name := range handshakeHeaders {
		if h.values[i] != "" {
			out.Header[name] = h.values[i : i+1 : i+1]
		}
	}
	return out
}

// handshakeHeaders are those that a handshake writes itself.
var handshakeHeaders = [...]string{
	"Connection", "Upgrade", "Sec-Websocket-Version", "Sec-Websocket-Key", "Sec-Websocket-Extensions", protocolHeader,
}

// isOfHandshake tells them, in whatever case a step has written one.
func isOfHandshake(name string) bool {
	for _, own := range handshakeHeaders {
		if strings.EqualFold(name, own) {
			return true
		}
	}
	return false
}

// newKey makes a Sec-WebSocket-Key.
func newKey() string {
	var key [16]byte
	rand.Read(key[:])
	return string(base64.StdEncoding.AppendEncode(make([]byte, 0, 24), key[:]))
}

// offerDeflate decides what to offer. coder's Conn has an offer of its own: it
// cannot compress with a smaller window.
func (h *handshake) offerDeflate() {
	if h.o.connect.compression == websocket.CompressionDisabled {
		return
	}
	h.noCtx = h.o.connect.compression == websocket.CompressionNoContextTakeover
	h.offer = wire.DeflateOffer(h.noCtx)
	if h.o.forCoder {
		h.offer = strings.Replace(h.offer, "; client_max_window_bits", "", 1)
	}
}

// switched checks the 101 (RFC 6455, section 4.1).
func (h *handshake) switched(resp *http.Response) error {
	if !httpguts.HeaderValuesContainsToken(resp.Header.Values("Connection"), "Upgrade") {
		return errors.New("the answer 101 has no Connection: Upgrade")
	}
	if up := resp.Header.Values("Upgrade"); len(up) != 1 || !strings.EqualFold(strings.TrimSpace(up[0]), "websocket") {
		return errors.New("the answer 101 has no Upgrade: websocket, or more in it than that")
	}
	accept := resp.Header.Values("Sec-Websocket-Accept")
	if len(accept) > 1 {
		return errors.New("the server answered with more than one Sec-WebSocket-Accept") // RFC 6455, section 11.3.3
	}
	if want := acceptBytes(h.key); len(accept) == 0 || accept[0] != string(want[:]) {
		return errors.New("the server's Sec-WebSocket-Accept does not answer the key that was sent")
	}
	return nil
}

// acceptKey is what proves that the server understood the handshake (RFC 6455,
// section 4.2.2).
func acceptKey(key string) string {
	accept := acceptBytes(key)
	return string(accept[:])
}

func acceptBytes(key string) (accept [28]byte) {
	sum := sha1.Sum(append(append(make([]byte, 0, 64), key...), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}

// chosen takes in the subprotocol that the server chose.
func (h *handshake) chosen(names []string) error {
	switch len(names) {
	case 0:
		return nil
	case 1:
		h.subprotocol = names[0]
		return h.o.protocols.check(h.subprotocol, h.offered)
	}
	return errors.New("the server answered with more than one Sec-WebSocket-Protocol") // RFC 6455, section 11.3.4
}

// negotiated takes in which extensions the server accepted.
func (h *handshake) negotiated(answer []string) error {
	params, ok, err := wire.ParseDeflateAnswer(answer, h.noCtx)
	if h.offer == "" && (ok || err != nil) {
		return fmt.Errorf("the server accepted an extension that was not offered%s", plainly(strings.Join(answer, ",")))
	}
	if ok {
		accepted := params // the only one that goes to the heap
		h.deflate, h.extensions = &accepted, answer
	}
	return withoutHeader(err, answer)
}

// plainly is how an error goes on with what the peer sent, if that is a short name.
func plainly(name string) string {
	if len(name) > longestName || !isToken(name) {
		return ""
	}
	return fmt.Sprintf(": %q", name)
}

// longestName is as long as the names of permessage-deflate are.
const longestName = len("server_no_context_takeover")

// withoutHeader is err about header, unless it may quote what is no plain name in
// there.
func withoutHeader(err error, header []string) error {
	const malformed = "malformed Sec-WebSocket-Extensions"
	long := func(word string) bool { return len(word) > longestName }
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), malformed):
		return errors.New(malformed)
	case slices.ContainsFunc(strings.FieldsFunc(strings.Join(header, ","), func(r rune) bool { return strings.ContainsRune("=;, ", r) }), long):
		return errors.New("the server accepted an extension or a parameter that was not offered")
	}
	return err
}

// caused says why the cancellation err took place: in place of it where that is the
// connect timeout.
func caused(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var timeout dial.TimeoutError
	switch {
	case cause == nil || !errors.Is(err, context.Canceled) || errors.Is(err, cause):
		return err
	case errors.As(cause, &timeout):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// openConn makes a connection of the body of a 101.
func openConn(body io.ReadCloser) (*netconn.Conn, error) {
	switch b := body.(type) {
	case *netconn.Conn:
		return b, nil
	case net.Conn:
		return &netconn.Conn{Conn: b}, nil
	case io.ReadWriteCloser:
		return &netconn.Conn{Conn: netconn.NewBody(b)}, nil
	}
	_ = body.Close()
	return nil, fmt.Errorf("the transport's answer 101 has a body of type %T, which cannot be written to", body)
}
