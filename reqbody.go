package reqws

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

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

// setBody gives a plain request its body and Content-Type, anew on each attempt and
// hop, until a redirect has made a GET of it.
func (c *config) setBody(req *http.Request, h *hop) error {
	switch {
	case h.bodiless:
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
		return nil
	case c.isHandshake(req.URL):
		return nil
	case c.body == nil:
		return rewind(req, h)
	}
	data := c.body.data
	req.GetBody = func() (io.ReadCloser, error) {
		if len(data) == 0 {
			return http.NoBody, nil
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	req.Body, _ = req.GetBody()
	req.ContentLength = int64(len(data))
	if c.body.contentType != "" {
		req.Header.Set("Content-Type", c.body.contentType)
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
