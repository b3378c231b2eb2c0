package reqws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// plainConfig is what the options come to that only plain requests have.
type plainConfig struct {
	method string
	body   *requestBody
}

// Method sets the method of a plain http or https request; the default is GET.
// A WebSocket handshake has its own method and ignores it.
func Method(m string) Option {
	return checked("Method", m, func(m string) error {
		if !isToken(m) {
			return fmt.Errorf("%q is no method", m)
		}
		return nil
	}, func(c *config, m string) { c.plain.method = m })
}

// Body sets the body of a plain http or https request and its Content-Type, which
// [Header] may replace, and which an empty contentType leaves off. The bytes are
// copied. They are sent again on each retry, and on a redirect with 307 or 308; one
// that makes a GET of the request (RFC 9110, section 15.4) drops them, and the headers
// that describe them. A contentType that is no media type is an error. Body("", nil)
// takes the body back. A WebSocket handshake has no body and ignores it.
//
// The method is what [Method] says, GET by default.
func Body(contentType string, body []byte) Option {
	b := &requestBody{contentType, slices.Clone(body)}
	if contentType == "" && body == nil {
		b = nil
	}
	return fallible("Body", func(c *config) error {
		if err := checkContentType(contentType); err != nil {
			return err
		}
		c.plain.body = b
		return nil
	})
}

// JSONBody is [Body] with v as encoding/json writes it at the time of this call, and
// the Content-Type application/json. A value that encoding/json refuses is an error.
func JSONBody(v any) Option {
	data, err := json.Marshal(v)
	return fallible("JSONBody", func(c *config) error {
		if err == nil {
			c.plain.body = &requestBody{"application/json", data}
		}
		return err
	}).inPlaceOf("Body")
}

// requestBody is what a plain request carries.
type requestBody struct {
	contentType string
	data        []byte
}

// checkContentType quotes nothing: it may be the body that was given in its place.
func checkContentType(s string) error {
	if s == "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(media, "/") || checkHeaderValue(s) != nil {
		return errors.New("the content type is no media type, such as application/json")
	}
	return nil
}

// set gives a plain request its body and Content-Type, anew on each attempt and
// hop, until a redirect has made a GET of it.
func (b *requestBody) set(req *http.Request, h *hop) error {
	switch {
	case h.bodiless:
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
		return nil
	case isWebSocket(req.URL):
		return nil
	case b == nil:
		return rewind(req, h)
	}
	data := b.data
	req.GetBody = func() (io.ReadCloser, error) {
		if len(data) == 0 {
			return http.NoBody, nil
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	req.Body, _ = req.GetBody()
	req.ContentLength = int64(len(data))
	if b.contentType != "" {
		req.Header.Set("Content-Type", b.contentType)
	}
	return nil
}

// rewind begins anew the body that a step of [UseOuter] has given the request, where
// an attempt or a hop before has read it.
func rewind(req *http.Request, h *hop) (err error) {
	if req.Body == nil || req.Body == http.NoBody || h.n == 0 && Attempt(req.Context()) == 0 {
		return nil
	}
	if req.GetBody == nil {
		return errors.New("the body that a step has given the request cannot be sent again: there is no GetBody")
	}
	req.Body, err = req.GetBody()
	return err
}
