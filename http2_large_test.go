package reqws

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// Over HTTP/2 a message comes in pieces, and leaves in fragments, as over a connection of its own.
func TestWithGoServerInPieces(t *testing.T) {
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("run by TestGoServer")
	}
	is := is.New(t)
	const size = 8 << 20 // far above what a stream of HTTP/2 is given at once
	payload := []byte(strings.Repeat("0123456789abcdef", size/16))
	received := make(chan string, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		out := http.NewResponseController(w)
		out.Flush()
		var got []byte
		fragments := 0
		for {
			f, err := reqwstest.Decode(r.Body)
			if err != nil {
				received <- err.Error()
				return
			}
			if f.Op == reqwstest.OpPong {
				continue
			}
			got = append(got, f.Payload...)
			if fragments++; fragments == 10 { // which is answered between two fragments
				w.Write(reqwstest.Encode(reqwstest.Ping("p")))
				out.Flush()
			}
			if f.Fin {
				break
			}
		}
		received <- fmt.Sprint(string(got) == string(payload), fragments)
		w.Write(reqwstest.Encode(reqwstest.Binary(payload), reqwstest.Close(1000, "")))
		out.Flush()
		io.Copy(io.Discard, r.Body)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	var got []byte
	pieces, pings := 0, 0
	resp, err := New(
		URL("wss"+strings.TrimPrefix(srv.URL, "https")),
		TLSConfig(&tls.Config{RootCAs: roots}), Protocols(HTTP2), Pieces(true),
		Into(Each(func(f Frame) Directive {
			switch f.Kind {
			case KindBinary:
				got = append(got, f.Data...)
				if len(f.Data) > 72<<10 {
					return Fail(fmt.Errorf("a piece of %d bytes", len(f.Data)))
				}
				pieces++
			case KindPing:
				pings++
			}
			return Cont()
		})),
	).Do(t.Context())
	is.NoErr(err)
	is.Equal(resp.Proto, "HTTP/2.0")
	is.NoErr(resp.SendReader(t.Context(), KindBinary, strings.NewReader(string(payload))))
	is.Equal(<-received, fmt.Sprint(true, size/(32<<10)))
	is.NoErr(resp.Wait())
	is.True(string(got) == string(payload))
	is.True(pieces > size/(72<<10))
	is.Equal(pings, 1)
}
