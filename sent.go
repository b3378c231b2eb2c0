package reqws

import (
	"hash/maphash"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
)

// Connections made from one Request differ in nothing that Response.Request shows,
// and thousands of them would hold as many copies of it: 0.9 KB each, a third of
// what an idle connection takes. So the last one of a URL is handed out again while it
// is the same.
var lastSent [16]atomic.Pointer[http.Request]

var sentSeed = maphash.MakeSeed()

// shared returns req, or one that is equal to it. Neither may be changed.
func shared(req *http.Request) *http.Request {
	slot := &lastSent[maphash.String(sentSeed, req.URL.Path)%uint64(len(lastSent))]
	if last := slot.Load(); last != nil && sameRequest(last, req) {
		return last
	}
	slot.Store(req)
	return req
}

func sameRequest(a, b *http.Request) bool {
	return a.Method == b.Method && a.Host == b.Host && a.Proto == b.Proto && *a.URL == *b.URL &&
		maps.EqualFunc(a.Header, b.Header, slices.Equal)
}
