package reqws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/failure"
)

// execution is one execution of a Request: what it reads of the options.
type execution struct {
	config     *config
	opener     opener
	target     *targetConfig
	method     string
	into       *intoConfig
	life       *lifeConfig
	httpErrors HTTPErrorMode
	shared     bool // somebody else may hold a connection of its, and close it
}

// answer is what running the steps once came to.
type answer struct {
	resp *Response
	open *handshake // a WebSocket, or
	body io.ReadCloser
	// wrapped is the body as a step wrapped it: closing it tells that step of the
	// end of the connection.
	wrapped io.Closer

	protocols *subprotocols
	url       *url.URL      // what answered
	sent      *http.Request // as it was sent, credentials and all
}

// runSteps runs the steps and the handshake once.
func (e *execution) runSteps(ctx context.Context) (*answer, error) {
	var winner *handshake
	defer func() { e.opener.settle(winner) }()
	httpResp, err := e.config.send(ctx, &e.opener)
	if err != nil {
		return nil, fail("request", e.target.shown(), err)
	}
	a, err := e.answer(httpResp)
	if err != nil {
		return nil, err
	}
	if opensWebSocket(httpResp) {
		winner = e.opener.find(httpResp)
	}
	switch {
	case winner != nil:
		a.open, a.resp.Subprotocol = winner, winner.subprotocol
		if _, own := httpResp.Body.(*openBody); !own {
			a.wrapped = httpResp.Body
		}
	case !isWebSocket(a.url):
	case httpResp.StatusCode == http.StatusSwitchingProtocols:
		_ = httpResp.Body.Close()
		return nil, fail("handshake", a.url, errors.New("a step answered with status 101, but opened no connection"))
	default:
		a.refuse(ctx)
	}
	return a, nil
}

// opensWebSocket tells an answer that says it opened a WebSocket: 101 (RFC 6455),
// or a 2xx over HTTP/2 (RFC 8441).
func opensWebSocket(resp *http.Response) bool {
	if resp.ProtoMajor == 2 {
		return resp.StatusCode/100 == 2
	}
	return resp.StatusCode == http.StatusSwitchingProtocols
}

// answer makes an answer of what came out of the steps.
func (e *execution) answer(httpResp *http.Response) (*answer, error) {
	a := &answer{
		resp: &Response{
			StatusCode: httpResp.StatusCode,
			Header:     httpResp.Header,
			Proto:      httpResp.Proto,
			Request:    e.opener.protocols.sent(httpResp.Request),
		},
		body:      httpResp.Body,
		protocols: e.opener.protocols,
		url:       httpResp.Request.URL,
		sent:      httpResp.Request,
	}
	if a.url.Host == "" { // a step in front of all others answered
		d, err := e.target.destination()
		if err != nil {
			_ = a.body.Close()
			return nil, fail("url", nil, err)
		}
		a.url = d.url
	}
	return a, nil
}

// refuse makes an error of an answer that is not what was asked for. Its status
// counts, and of the body what can be had.
func (a *answer) refuse(ctx context.Context) *HTTPError {
	phase := failure.Request
	if isWebSocket(a.url) {
		phase = failure.Handshake
	}
	a.resp.Body = dial.ReadStart(ctx, a.body)
	a.resp.refused = &HTTPError{
		StatusCode: a.resp.StatusCode,
		Header:     a.resp.Header,
		Body:       a.resp.Body,
		URL:        failure.SafeURL(a.url),
		phase:      phase,
		says:       excerpt(a.resp.Header, a.resp.Body, a.protocols.secretsIn(a.sent)),
	}
	return a.resp.refused
}

// open connects and makes the stream of what was opened, ready to run; where
// nothing remains to be run the stream is nil. always says that an error status is
// to be an error whatever HTTPErrors says.
func (e *execution) open(ctx context.Context, always bool) (*stream, *Response, error) {
	var back comeback
	if e.life.reconnect.most != 0 {
		var err error
		if back, err = newComeback(e); err != nil {
			return nil, nil, err
		}
	}
	a, err := e.runSteps(ctx)
	if err != nil {
		return nil, nil, err
	}
	raise := always || e.httpErrors.raises(isWebSocket(a.url))
	s := e.newStream(ctx, a)
	switch {
	case a.resp.refused != nil:
		s.conclude(a.resp.refused)
		if s.mailbox != nil && !raise {
			go s.lastMessage(s.err) // ends as that of a stream that was open does
		}
		s = nil
	case a.open == nil:
		if s, _, err = s.startPlain(a, e.into.maxMessage, raise); err != nil {
			return nil, nil, err
		}
	default:
		if back.e != nil {
			back.opened = time.Now()
			s.gate = &gate{s: s, comeback: back}
		}
		if err := s.start(e.into.onOpen); err != nil {
			s.finish()
			return nil, nil, err
		}
	}
	if raise && a.resp.refused != nil {
		return nil, nil, a.resp.refused
	}
	return s, a.resp, nil
}
