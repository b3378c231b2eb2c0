package reqws

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// A templated URL, a netrc password, an AWS signature, a redirect and three
// retries: connected by options alone.
func TestAllStepsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.DialError(syscall.ECONNREFUSED),
			reqwstest.Script(reqwstest.Redirect(307, "/eu/rooms/go%2Flang?v=2")),
			reqwstest.Script(reqwstest.Refuse(503, http.Header{"Retry-After": {"5"}}, "")),
			reqwstest.Script(reqwstest.Drop()),
			reqwstest.Script(reqwstest.Redirect(307, "/eu/rooms/go%2Flang?v=2")),
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hello"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
		sig := vectorKeys("")
		sig.Service, sig.Presign = "execute-api", time.Minute
		begin := time.Now()
		var got string
		err := New(
			BaseURL("ws://example.com/"), URL("rooms/:room"), PathParams(map[string]any{"room": "go/lang"}), Param("v", 1),
			Header("x_bot", true), Auth(NetrcFile("testdata/netrc/sample")), AWSSigV4(sig),
			DialContext(srv.DialContext), Logger(nil),
			Into(func(in Event, _ *Response) Directive {
				got = in.Frames[0].Text()
				return Halt()
			}),
		).Run(t.Context())
		is.NoErr(err)
		is.Equal(got, "hello")
		took := time.Since(begin) - 5*time.Second
		is.True(took >= 4500*time.Millisecond && took <= 5*time.Second)
		var paths []string
		for _, r := range srv.Requests() {
			path, _, _ := strings.Cut(r.RequestURI, "?")
			paths = append(paths, path)
			is.Equal(r.Header.Get("Authorization"), basicValue("jane", "s3cret"))
			is.Equal(r.Header.Get("X-Bot"), "true")
			signed := verify(t, r, sig.SecretAccessKey, encodedAgain)
			is.Equal(signed.got, signed.signature)
			is.Equal(signed.signed, "host;x-bot")
		}
		is.Equal(paths, []string{"/rooms/go%2Flang", "/eu/rooms/go%2Flang", "/rooms/go%2Flang", "/eu/rooms/go%2Flang"})
	})
}
