package reqws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// greeter is a server that says who the client asked for, and closes.
func greeter(start func(*httptest.Server)) *httptest.Server {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		name, _, _ := net.SplitHostPort(r.Host)
		conn.Write(r.Context(), websocket.MessageText, []byte("this is "+name))
		conn.Close(websocket.StatusNormalClosure, "")
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // a client may not like its certificate
	start(srv)
	return srv
}

// wsURL is the ws or wss URL of an http or https server.
func wsURL(srv *httptest.Server) string { return "ws" + strings.TrimPrefix(srv.URL, "http") }

// show prints text messages.
var show = reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
	if f.Kind == reqws.KindText {
		fmt.Println(f.Text())
	}
	return reqws.Cont()
}))

// tunnels is an http proxy, which tells who came with which credentials. Every
// name leads to target.
func tunnels(target *httptest.Server) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		fmt.Printf("proxy: %s %s for %q from %q\n", r.Method, r.Host, user, r.Header.Get("X-Site"))
		server, err := net.Dial("tcp", target.Listener.Addr().String())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(server, buffered)
			server.Close()
		}()
		io.Copy(client, server)
		client.Close()
	}))
}

func ExampleConnectTimeout() {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer silent.Close()

	_, err = reqws.New(
		reqws.URL("ws://"+silent.Addr().String()),
		reqws.ConnectTimeout(50*time.Millisecond),
		reqws.Retry(reqws.Never),
	).Do(context.Background())
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	fmt.Println(strings.Replace(err.Error(), silent.Addr().String(), "host", 1))
	// Output:
	// true
	// reqws: handshake: ws://host/: no answer within the connect timeout of 50ms
}

func ExampleProtocols() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()

	// HTTP/2 would be preferred; this server only speaks HTTP/1.1.
	resp, err := reqws.New(
		reqws.URL(wsURL(srv)),
		reqws.Protocols(reqws.HTTP2, reqws.HTTP1),
	).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.CloseNow()
	fmt.Println(resp.StatusCode, resp.Proto)
	// Output: 101 HTTP/1.1
}

func ExampleHTTP2Settings() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()

	feed := reqws.New(
		reqws.URL(wsURL(srv)),
		reqws.Protocols(reqws.HTTP2, reqws.HTTP1),
		reqws.HTTP2Settings(http.HTTP2Config{
			MaxReceiveBufferPerStream: 4 << 20, // a fast feed, far away
			SendPingTimeout:           30 * time.Second,
		}),
		show,
	)
	fmt.Println(feed.Run(context.Background()))
	// Output:
	// this is 127.0.0.1
	// <nil>
}

func ExampleHostname() {
	srv := greeter((*httptest.Server).StartTLS)
	defer srv.Close()
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs

	// The address is dialled; the certificate has to be for example.com.
	err := reqws.New(
		reqws.URL(wsURL(srv)),
		reqws.Hostname("example.com"),
		reqws.TLSConfig(&tls.Config{RootCAs: roots}),
		show,
	).Run(context.Background())
	fmt.Println(err)
	// Output:
	// this is example.com
	// <nil>
}

func ExampleTLSConfig() {
	srv := greeter((*httptest.Server).StartTLS)
	defer srv.Close()
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs

	secure := reqws.New(reqws.URL(wsURL(srv)), show)
	_, err := secure.Do(context.Background())
	var unknown *tls.CertificateVerificationError
	fmt.Println("without the private CA:", errors.As(err, &unknown))

	err = secure.Run(context.Background(), reqws.TLSConfig(&tls.Config{RootCAs: roots}))
	fmt.Println("with it:", err)
	// Output:
	// without the private CA: true
	// this is 127.0.0.1
	// with it: <nil>
}

func ExampleDialContext() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()

	// A name of our own for one address.
	err := reqws.New(
		reqws.URL("ws://feed.internal:80/"),
		reqws.DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
			fmt.Println("dial", network, addr)
			return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
		}),
		reqws.Header("Host", "feed.internal:80"),
		show,
	).Run(context.Background())
	fmt.Println(err)
	// Output:
	// dial tcp feed.internal:80
	// this is feed.internal
	// <nil>
}

func ExampleProxy() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()
	proxy := tunnels(srv)
	defer proxy.Close()

	// Only what is outside goes through the proxy.
	err := reqws.New(
		reqws.URL("ws://outside.example:8080"),
		reqws.Proxy(func(req *http.Request) (*url.URL, error) {
			if strings.HasSuffix(req.URL.Hostname(), ".internal") {
				return nil, nil
			}
			return url.Parse(proxy.URL)
		}),
		show,
	).Run(context.Background())
	fmt.Println(err)
	// Output:
	// proxy: CONNECT outside.example:8080 for "" from ""
	// this is outside.example
	// <nil>
}

func ExampleProxyURL() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()
	proxy := tunnels(srv)
	defer proxy.Close()

	err := reqws.New(
		reqws.URL("ws://outside.example:8080"),
		reqws.ProxyURL("http://me:password@"+proxy.Listener.Addr().String()),
		show,
	).Run(context.Background())
	fmt.Println(err)
	// Output:
	// proxy: CONNECT outside.example:8080 for "me" from ""
	// this is outside.example
	// <nil>
}

func ExampleProxyHeader() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()
	proxy := tunnels(srv)
	defer proxy.Close()

	err := reqws.New(
		reqws.URL("ws://outside.example:8080"),
		reqws.ProxyURL(proxy.URL),
		reqws.ProxyHeader(http.Header{"X-Site": {"berlin"}}),
		show,
	).Run(context.Background())
	fmt.Println(err)
	// Output:
	// proxy: CONNECT outside.example:8080 for "" from "berlin"
	// this is outside.example
	// <nil>
}

func ExampleProxyError() {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()

	err := reqws.New(
		reqws.URL("ws://outside.example"),
		reqws.ProxyURL(proxy.URL),
		show,
	).Run(context.Background())
	var refused *reqws.ProxyError
	if errors.As(err, &refused) {
		fmt.Println(refused.StatusCode)
	}
	fmt.Println(strings.Replace(err.Error(), proxy.URL, "http://proxy:3128", 1))
	// Output:
	// 407
	// reqws: proxy: ws://outside.example/: proxy http://proxy:3128: refused to connect: 407 Proxy Authentication Required: who are you?
}

func ExampleCompression() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()

	resp, err := reqws.New(
		reqws.URL(wsURL(srv)),
		reqws.Compression(websocket.CompressionContextTakeover),
	).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.CloseNow()
	agreed, _, _ := strings.Cut(resp.Header.Get("Sec-WebSocket-Extensions"), ";")
	fmt.Println(agreed)
	// Output: permessage-deflate
}

func ExampleTransport() {
	srv := greeter((*httptest.Server).Start)
	defer srv.Close()

	// Any RoundTripper whose 101 can be read and written does, net/http's too.
	err := reqws.New(
		reqws.URL(wsURL(srv)),
		reqws.Transport(&http.Transport{DisableKeepAlives: true}),
		show,
	).Run(context.Background())
	fmt.Println(err)
	// Output:
	// this is 127.0.0.1
	// <nil>
}
