package reqws

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// A client certificate is for the origin it was given for.
func TestRedirectClientCertificate(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		for _, callback := range []bool{false, true} {
			is := is.New(t)
			second := reqwstest.Script(wiretest.ExpectTLSError())
			if trusted {
				second = reqwstest.Script(reqwstest.Accept())
			}
			srv := reqwstest.NewMemory(t, reqwstest.TLS(), wiretest.RequireClientCert(),
				reqwstest.Script(reqwstest.Redirect(302, "//localhost/")), second)
			config := srv.TLSConfig()
			config.ServerName = ""
			if certificate := &config.Certificates[0]; callback {
				config.Certificates = nil
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
			}
			resp, err := New(URL("wss://example.com/"), TLSConfig(config), RedirectTrusted(trusted), DialContext(srv.DialContext), Retry(Never)).Do(t.Context())
			if !trusted {
				is.True(err != nil)
				is.True(strings.HasPrefix(err.Error(), "reqws: TLS: wss://localhost/: "))
				is.True(strings.Contains(err.Error(), "certificate required"))
				continue
			}
			is.NoErr(err)
			is.NoErr(resp.CloseNow())
		}
	}
}

// A step of the user's own learns from Foreign what it is to keep back.
func TestForeign(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		is := is.New(t)
		var inside, outside []bool
		note := func(seen *[]bool) Step {
			return func(next http.RoundTripper) http.RoundTripper {
				return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
					*seen = append(*seen, Foreign(req.Context()))
					return next.RoundTrip(req)
				})
			}
		}
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Redirect(302, "/same")),
			reqwstest.Script(reqwstest.Redirect(302, "//other.example/")),
			reqwstest.Script(reqwstest.Redirect(302, "//example.com/back")),
			reqwstest.Script(reqwstest.Accept()))
		resp, err := New(URL("ws://example.com/"), Use(note(&inside)), UseOuter(note(&outside)), RedirectTrusted(trusted), DialContext(srv.DialContext)).Do(t.Context())
		is.NoErr(err)
		is.NoErr(resp.CloseNow())
		is.Equal(inside, []bool{false, false, !trusted, !trusted})
		is.Equal(outside, []bool{false})
	}
}

// Outside an execution there is no other origin to protect: a step serves any
// client.
func TestForeignOutsideAnExecution(t *testing.T) {
	is.New(t).True(!Foreign(context.Background()))
}
