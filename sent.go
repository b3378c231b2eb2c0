package reqws

import (
	"hash/maphash"
	"net/http"
	"net/url"
	"sync/atomic"
)

// Connections made from one Request differ in nothing that Response.Request shows,
// and thousands of them would hold as many copies of it: 0.9 KB each, a third of
// what an idle connection takes. So the last one of a URL is handed out again while it
// is the same.
var lastSent [16]atomic.Pointer[http.Request]

var sentSeed = maphash.MakeSeed()

// sent returns what [Response].Request keeps of req: that of the one before where it is the same.
// Neither may be changed.
func (p *subprotocols) sent(req *http.Request) *http.Request {
	slot := &lastSent[maphash.String(sentSeed, req.URL.Path)%uint64(len(lastSent))]
	if last := slot.Load(); last != nil && p.isRedacted(last, req) {
		return last
	}
	made := p.redacted(req)
	slot.Store(made)
	return made
}

// isRedacted reports whether kept is what redacted would make of req.
func (p *subprotocols) isRedacted(kept, req *http.Request) bool {
	u := url.URL{
		Scheme:     req.URL.Scheme,
		Host:       req.URL.Host,
		Path:       req.URL.Path,
		RawPath:    req.URL.RawPath,
		ForceQuery: req.URL.ForceQuery,
		RawQuery:   redactedQuery(req.URL.RawQuery),
	}
	return *kept.URL == u && kept.Method == req.Method && kept.Host == req.Host && kept.Proto == req.Proto &&
		p.isRedactedHeader(kept.Header, req.Header)
}

func (p *subprotocols) isRedactedHeader(kept, h http.Header) bool {
	n := 0
	for name, values := range h {
		if isKey(name) {
			continue
		}
		n++
		have, ok := kept[name]
		if !ok || len(have) != len(values) {
			return false
		}
		secret := isSecretName(name)
		for i, v := range values {
			if have[i] != p.redactedValue(name, secret, v) {
				return false
			}
		}
	}
	return n == len(kept)
}
