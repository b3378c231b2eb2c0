package reqws_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// The longer example of the README, with everything at once: a templated URL, a
// password from netrc, a header, a subprotocol, compression, and a server that first has no
// time and then sends us elsewhere.
func Example_everything() {
	srv := reqwstest.New(tb{},
		reqwstest.Script(reqwstest.Respond(503, http.Header{"Retry-After": {"0"}}, "later")),
		reqwstest.Script(reqwstest.Redirect(307, "/v3/markets/BTC%2FEUR?depth=10")),
		reqwstest.Script(
			reqwstest.Accept(reqwstest.WithSubprotocol("feed.v2")),
			reqwstest.ExpectText(`{"subscribe":"trades"}`),
			reqwstest.SendText(`{"price":"64000.5"}`),
			reqwstest.ExpectText("thanks"),
			reqwstest.ExpectClose(1000, ""),
			reqwstest.SendClose(1000, ""),
		),
	)
	defer srv.Close()

	netrc := filepath.Join(os.TempDir(), fmt.Sprintf("netrc-%d", os.Getpid()))
	if err := os.WriteFile(netrc, []byte("machine 127.0.0.1 login bot password secret"), 0o600); err != nil {
		fmt.Println(err)
	}
	defer os.Remove(netrc)

	req := reqws.New(
		reqws.BaseURL(srv.URL+"/v2"),
		reqws.URL("/markets/:market"),
		reqws.PathParams(map[string]any{"market": "BTC/EUR"}),
		reqws.Param("depth", 10),
		reqws.Header("user_agent", "example-bot/1.0"),
		reqws.Auth(reqws.NetrcFile(netrc)),
		reqws.Subprotocols("feed.v2"),
		reqws.Compression(websocket.CompressionContextTakeover),
		reqws.Retry(reqws.Transient),
		reqws.MaxRetries(5),
		reqws.ConnectTimeout(10*time.Second),
		reqws.Logger(slog.New(slog.DiscardHandler)),
		reqws.Use(func(next http.RoundTripper) http.RoundTripper {
			return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				fmt.Println("asking for", req.URL.RequestURI())
				return next.RoundTrip(req)
			})
		}),
	)
	err := req.Run(context.Background(),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive {
			return reqws.Cont(reqws.Text(`{"subscribe":"trades"}`))
		}),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			var trade struct{ Price string }
			if err := f.JSON(&trade); err != nil {
				return reqws.Halt(reqws.Close(websocket.StatusUnsupportedData, "not a trade"))
			}
			fmt.Println("price", trade.Price)
			return reqws.Halt(reqws.Text("thanks"))
		})),
	)
	fmt.Println(err)
	// Output:
	// asking for /v2/markets/BTC%2FEUR?depth=10
	// asking for /v2/markets/BTC%2FEUR?depth=10
	// asking for /v3/markets/BTC%2FEUR?depth=10
	// price 64000.5
	// <nil>
}

// tb is what examples give reqwstest in place of a *testing.T.
type tb struct{}

func (tb) Helper()                           {}
func (tb) Cleanup(func())                    {}
func (tb) Failed() bool                      { return false }
func (tb) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (tb) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
