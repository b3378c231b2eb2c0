package reqws

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%T", "%10v", "%-40q", "%.3s"}

// shown is all that fmt, log/slog and encoding/json show of v.
func shown(v any) string {
	var b bytes.Buffer
	for _, verb := range verbs {
		fmt.Fprintf(&b, verb+"\n", v)
		fmt.Fprintf(&b, verb+"\n", []any{v})
		fmt.Fprintf(&b, verb+"\n", struct{ V any }{v})
		fmt.Fprintf(&b, verb+"\n", map[string]any{"k": v})
	}
	fmt.Fprintln(&b, v)
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("m", "v", v, "in", struct{ V any }{v}, slog.Group("g", "v", v))
	}
	data, _ := json.Marshal(v)
	b.Write(data)
	return b.String()
}

// hides fails where text holds a secret, in any form in which it may have gone
// out.
func hides(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"canary", "CANARY", basicValue("u", "canary")[6:], basicValue("canary", "")[6:], fmt.Sprintf("%x", "canary"), fmt.Sprintf("%X", "canary"), fmt.Sprint([]byte("canary"))} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a secret shows: …%s…", text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// secrets is a Request with one in each place that may hold one.
func secrets() []Option {
	key := SigV4{AccessKeyID: "canary", SecretAccessKey: "canary", SessionToken: "canary", Service: "execute-api"}
	return []Option{
		URL("ws://u:canary@example.com/:room?token=canary"),
		PathParams(map[string]any{"room": "go"}),
		Header("Authorization", "Bearer canary"),
		Headers(http.Header{"cookie": {"canary"}, "X-Api-Key": {"canary"}, "x-my_token": {"canary"}}),
		Params(map[string]any{"access_token": "canary"}),
		Param("key", "canary"),
		Auth(Basic("u", "canary")),
		AWSSigV4(key),
		SecretSubprotocol("canary"),
		Body("text/plain", []byte("canary")),
		ProxyHeader(http.Header{"Proxy-Authorization": {"canary"}}),
		TLSConfig(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{[]byte("canary")}, PrivateKey: "canary"}}}),
	}
}

func TestNothingSecretIsShown(t *testing.T) {
	is := is.New(t)
	opts := append(secrets(), ProxyURL("http://u:canary@proxy.example:8080"))
	r := New(opts...)
	for _, v := range []any{r, *r, SigV4{AccessKeyID: "canary", SecretAccessKey: "canary", SessionToken: "canary"},
		&SigV4{SecretAccessKey: "canary"}, opts, Options(opts...)} {
		hides(t, shown(v))
	}
	is.Equal(fmt.Sprintf("%+v", r), "reqws.Request{ws://example.com/:room}")
	is.Equal(fmt.Sprintf("%q", r), `"reqws.Request{ws://example.com/:room}"`)
	is.Equal(fmt.Sprint(Request{}), "reqws.Request{}")
	is.Equal(fmt.Sprint((*Request)(nil)), "<nil>")
	is.Equal(fmt.Sprint(New(URL("ws://u:canary/@x"))), "reqws.Request{invalid URL}")
	is.Equal(fmt.Sprint(New()), "reqws.Request{(no URL)}")
	is.Equal(fmt.Sprint(SigV4{SecretAccessKey: "canary", Service: "s3", Region: "r", Presign: time.Minute}), "reqws.SigV4{Service: s3, Region: r, Presign: 1m0s, keys REDACTED}")
	is.Equal(fmt.Sprint(Response{}), "reqws.Response{ 0 , (no URL)}")
}

func TestNothingSecretInTheResponse(t *testing.T) {
	is := is.New(t)
	for _, presign := range []time.Duration{0, time.Minute} {
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithHeader("Set-Cookie", "canary"))))
		key := SigV4{AccessKeyID: "canary", SecretAccessKey: "canary", SessionToken: "canary", Service: "execute-api", Presign: presign}
		resp, err := New(append(secrets(), AWSSigV4(key), DialContext(srv.DialContext))...).Do(t.Context())
		is.NoErr(err)
		resp.CloseNow()
		is.True(bytes.Contains(srv.Requests()[0].Head, []byte("canary"))) // they were sent
		hides(t, fmt.Sprintf("%+v %+v %+v", resp, *resp, resp.Request.URL))
		hides(t, shown(resp.Request.Header))
		var b bytes.Buffer
		for _, verb := range verbs {
			fmt.Fprintf(&b, verb, resp)
			fmt.Fprintf(&b, verb, *resp)
			fmt.Fprintf(&b, verb, resp.Request)
			fmt.Fprintf(&b, verb, resp.Request.URL)
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", resp, "w", *resp)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", resp, "w", *resp)
		hides(t, b.String())
		is.Equal(fmt.Sprint(resp), "reqws.Response{HTTP/1.1 101 Switching Protocols, ws://example.com/go}")
		is.Equal(resp.Request.Host, "example.com")
		is.Equal(resp.Request.URL.Path, "/go")
	}
}

// noTLS answers the start of a TLS handshake in plain HTTP.
func noTLS(c *reqwstest.Conn) error {
	if _, err := io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c)
	return err
}

// Errors and log lines of executions that fail, each in another phase.
func TestNothingSecretInErrorsAndLogs(t *testing.T) {
	const nothing = "http://canary:canary@127.0.0.1:1" // a proxy that is not there
	redirect := func(to string) reqwstest.Option { return reqwstest.Script(reqwstest.Redirect(302, to)) }
	tests := []struct {
		name string
		opts []Option
		srv  []reqwstest.Option
	}{
		{"url", []Option{URL("ws://u:canary@[::1/")}, nil},
		{"url port", []Option{URL("ws://u:canary/@host/")}, nil},
		{"scheme", []Option{URL("ftp://u:canary@host/?canary")}, nil},
		{"option", []Option{Header("X-A", "canary\n")}, nil},
		{"option whose name is a line", []Option{Header("Authorization: Bearer canary", nil)}, nil},
		{"option Subprotocols", []Option{Subprotocols("canary canary")}, nil},
		{"option SecretSubprotocol", []Option{SecretSubprotocol("canary/canary")}, nil},
		{"option Body", []Option{Body("canary canary", nil)}, nil},
		{"option JSONBody", []Option{JSONBody(struct{ Canary any }{func() string { return "canary" }})}, nil},
		{"option ProxyURL with a #", []Option{ProxyURL("http://canary:1234#canary@proxy")}, nil},
		{"option ProxyURL with a /", []Option{ProxyURL("http://canary:1234/canary@proxy:1")}, nil},
		{"option ProxyURL with a ?", []Option{ProxyURL("http://canary:1234?canary@proxy:1")}, nil},
		{"Proxy with a #", []Option{Proxy(func(*http.Request) (*url.URL, error) { return url.Parse("http://canary:1234#@proxy") })}, nil},
		{"option ProxyURL", []Option{ProxyURL("http://u:canary/@proxy:1")}, nil},
		{"subprotocol", nil, []reqwstest.Option{reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("v1, canary")))}},
		{"auth", []Option{Auth(Bearer("canary\r"))}, nil},
		{"step", []Option{Use(func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("step: %w", &url.Error{Op: "Get", URL: "http://x/?canary", Err: &url.Error{Op: "Get", URL: "canary", Err: errors.New("inner")}})
			})
		})}, nil},
		{"step around a failure", []Option{Use(func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				_, err := next.RoundTrip(req)
				return nil, &url.Error{Op: "Get", URL: req.URL.String() + "canary", Err: err}
			})
		})}, []reqwstest.Option{reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.ECONNREFUSED)}},
		{"dial", nil, []reqwstest.Option{reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.EHOSTUNREACH)}},
		{"proxy", []Option{ProxyURL(nothing)}, []reqwstest.Option{reqwstest.DialError(syscall.ENETUNREACH)}},
		{"proxy refuses", []Option{ProxyURL(nothing)}, []reqwstest.Option{reqwstest.Script(reqwstest.Respond(407, nil, ""))}},
		{"no TLS", []Option{URL("wss://u:canary@example.com/?canary=canary")}, []reqwstest.Option{reqwstest.Script(reqwstest.Do(noTLS))}},
		{"wrong accept", nil, []reqwstest.Option{reqwstest.Script(reqwstest.Accept(reqwstest.Without("Sec-WebSocket-Accept"), reqwstest.WithHeader("Sec-WebSocket-Accept", "x")))}},
		{"no HTTP", nil, []reqwstest.Option{reqwstest.Script(wiretest.RawResponse("nonsense\r\n\r\n"))}},
		{"refused", []Option{HTTPErrors(RaiseErrors)}, []reqwstest.Option{reqwstest.Script(reqwstest.Refuse(401, nil, ""))}},
		{"redirects", []Option{MaxRedirects(1)}, []reqwstest.Option{redirect("/a?canary=1"), redirect("http://u:canary@other.example/")}},
		{"location", nil, []reqwstest.Option{redirect("http://canary:canary/%zz")}},
		{"silent", []Option{ConnectTimeout(time.Second), MaxRetries(1)}, []reqwstest.Option{reqwstest.Script(reqwstest.Stall()).Times(2)}},
		{"busy", []Option{HTTPErrors(RaiseErrors)}, []reqwstest.Option{reqwstest.Script(reqwstest.Refuse(503, nil, "")).Times(4)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, tt.srv...)
				var log bytes.Buffer
				opts := append(secrets(), TLSConfig(nil), DialContext(srv.DialContext), RedirectLogLevel(slog.LevelError),
					Logger(slog.New(slog.NewTextHandler(&log, nil))))
				_, err := New(append(opts, tt.opts...)...).Do(context.Background())
				is.True(err != nil)
				is.True(strings.HasPrefix(err.Error(), "reqws: "))
				for e := err; e != nil; e = errors.Unwrap(e) {
					for _, verb := range verbs {
						hides(t, fmt.Sprintf(verb, e))
					}
				}
				hides(t, log.String())
			})
		})
	}
}

// What Response keeps of the request is small, and shares nothing with it.
func TestRedacted(t *testing.T) {
	is := is.New(t)
	req, err := http.NewRequest("GET", "ws://u:canary@example.com/a%2Fb?x=1&Token=canary&X-Amz-Signature=canary&X-Amz-Date=d&flag&sig%6Eature=canary&%zz=1&listenKey=canary&subscription-key=canary&symbol=x", nil)
	is.NoErr(err)
	req.Host = "virtual.example"
	req.Header = http.Header{
		"Authorization": {"canary"}, "Proxy-Authorization": {"canary"}, "Cookie": {"canary", "canary"}, "x-amz-security-token": {"canary"},
		"X-Secret-Thing": {"canary"}, "X-Auth-Token": {"canary"}, "Sec-Websocket-Key": {"canary"}, "X-Room": {"go", "lang"},
		"Sec-Websocket-Protocol": {"v1, header-canary,v2"}, "Ocp-Apim-Subscription-Key": {"canary"}, "CB-ACCESS-SIGN": {"canary"},
	}
	got := new(subprotocols).redacted(req)
	hides(t, shown(got.Header)+got.URL.String())
	is.Equal(got.Method, "GET")
	is.Equal(got.Host, "virtual.example")
	is.Equal(got.Proto, "HTTP/1.1")
	is.Equal(got.URL.String(), "ws://example.com/a%2Fb?x=1&Token=REDACTED&X-Amz-Signature=REDACTED&X-Amz-Date=d&flag&sig%6Eature=REDACTED&%zz=1&listenKey=REDACTED&subscription-key=REDACTED&symbol=x")
	is.Equal(got.Header, http.Header{
		"Authorization": {"REDACTED"}, "Proxy-Authorization": {"REDACTED"}, "Cookie": {"REDACTED", "REDACTED"}, "x-amz-security-token": {"REDACTED"},
		"X-Secret-Thing": {"REDACTED"}, "X-Auth-Token": {"REDACTED"}, "X-Room": {"go", "lang"},
		"Sec-Websocket-Protocol": {"v1, REDACTED, v2"}, "Ocp-Apim-Subscription-Key": {"REDACTED"}, "CB-ACCESS-SIGN": {"REDACTED"},
	})
	got.Header["X-Room"][0] = "x"
	_ = append(got.Header["X-Room"], "y")
	is.Equal(req.Header["X-Room"], []string{"go", "lang"})
	is.Equal(got.Header["Cookie"], []string{"REDACTED", "REDACTED"})
	is.Equal(got.Context(), context.Background()) // no ctx, with all that it may hold
}

// One that is kept serves for requests that look the same, and for no other.
func TestIsRedacted(t *testing.T) {
	request := func(change func(*http.Request)) *http.Request {
		req, err := http.NewRequest("GET", "ws://u:p@example.com/a%2Fb?x=1&token=one", nil)
		is.New(t).NoErr(err)
		req.Header = http.Header{"Authorization": {"one"}, "X-Room": {"go", "lang"}, "Sec-Websocket-Key": {"one"}, "Sec-Websocket-Protocol": {"v1, header-one"}}
		change(req)
		return req
	}
	p := new(subprotocols)
	kept := p.redacted(request(func(*http.Request) {}))
	for name, change := range map[string]func(*http.Request){
		"nothing":           func(*http.Request) {},
		"credentials":       func(r *http.Request) { r.Header.Set("Authorization", "two") },
		"the userinfo":      func(r *http.Request) { r.URL.User = nil },
		"a secret param":    func(r *http.Request) { r.URL.RawQuery = "x=1&token=two" },
		"the key":           func(r *http.Request) { r.Header.Set("Sec-Websocket-Key", "two") },
		"no key":            func(r *http.Request) { r.Header.Del("Sec-Websocket-Key") },
		"a secret protocol": func(r *http.Request) { r.Header.Set("Sec-Websocket-Protocol", "v1, header-two") },
	} {
		if !p.isRedacted(kept, request(change)) {
			t.Errorf("%s makes a difference", name)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"scheme":         func(r *http.Request) { r.URL.Scheme = "wss" },
		"host":           func(r *http.Request) { r.URL.Host = "example.org" },
		"path":           func(r *http.Request) { r.URL.Path = "/" },
		"raw path":       func(r *http.Request) { r.URL.RawPath = "/a%2fb" },
		"query":          func(r *http.Request) { r.URL.RawQuery = "x=2&token=one" },
		"another param":  func(r *http.Request) { r.URL.RawQuery = "x=1&token=one&y" },
		"method":         func(r *http.Request) { r.Method = "HEAD" },
		"Host":           func(r *http.Request) { r.Host = "other.example" },
		"protocol":       func(r *http.Request) { r.Proto = "HTTP/2.0" },
		"a value":        func(r *http.Request) { r.Header["X-Room"][1] = "c" },
		"fewer values":   func(r *http.Request) { r.Header["X-Room"] = []string{"go"} },
		"a header more":  func(r *http.Request) { r.Header.Set("X-More", "") },
		"a header less":  func(r *http.Request) { r.Header.Del("X-Room") },
		"no credentials": func(r *http.Request) { r.Header.Del("Authorization") },
		"another header": func(r *http.Request) { r.Header["X-Else"] = r.Header["X-Room"]; r.Header.Del("X-Room") },
		"a protocol":     func(r *http.Request) { r.Header.Set("Sec-Websocket-Protocol", "v2, header-one") },
	} {
		if p.isRedacted(kept, request(change)) {
			t.Errorf("another %s makes no difference", name)
		}
	}
}

// Names of headers and parameters in which clouds, APIs and exchanges take
// credentials, and names that must stay visible.
func TestIsSecretName(t *testing.T) {
	for group, names := range map[string]string{
		"HTTP":           "Authorization Proxy-Authorization Cookie Set-Cookie Authentication-Info X-CSRF-Token X-XSRF-TOKEN CSRFPreventionToken DPoP Idempotency-Key Signature Signature-Input",
		"OAuth and SAML": "access_token refresh_token id_token client_secret client_assertion code code_verifier_token oauth_token oauth_signature oauth_consumer_key assertion SAMLResponse",
		"AWS":            "X-Amz-Security-Token X-Amz-Signature X-Amz-Credential x-amz-access-token x-amzn-oidc-data x-amzn-oidc-accesstoken x-amz-customauthorizer-signature AWSAccessKeyId header",
		"Azure":          "Ocp-Apim-Subscription-Key subscription-key X-Functions-Key x-functions-key api-key sig X-ZUMO-AUTH x-ms-authorization-auxiliary x-ms-encryption-key SharedAccessSignature ConnectionString aeg-sas-key aeg-sas-token X-MS-TOKEN-AAD-ACCESS-TOKEN",
		"Google":         "key X-Goog-Api-Key X-Goog-Signature X-Goog-Credential X-Goog-Iam-Authorization-Token",
		"other clouds":   "X-Auth-Token X-Auth-Key X-Auth-Email X-Auth-User-Service-Key X-Subject-Token X-Storage-Pass CF-Access-Client-Secret CF-Access-Jwt-Assertion X-Vault-Token X-Consul-Token X-Nomad-Token X-Registry-Auth Fastly-Key",
		"monitoring":     "DD-API-KEY DD-APPLICATION-KEY X-Honeycomb-Team Lightstep-Access-Token X-SF-Token X-Insert-Key X-License-Key X-Query-Key X-Rollbar-Access-Token X-Sentry-Auth sentry_dsn",
		"APIs":           "X-API-Key api_key apikey apiKey APIKEY xi-api-key X-RapidAPI-Key X-RapidAPI-Proxy-Secret X-Parse-REST-API-Key X-Parse-Session-Token X-Hasura-Admin-Secret X-Hasura-Access-Key PRIVATE-TOKEN JOB-TOKEN Circle-Token X-Plex-Token X-Shopify-Access-Token X-Shopify-Hmac-Sha256 X-Hub-Signature-256 Stripe-Signature X-Signature-Ed25519 X-GitHub-OTP appsecret_proof X-Redmine-API-Key X-Finnhub-Token ticket vncticket connectionToken sid session_id jwt auth auth_key auth_signature app_key apikey2",
		"Binance":        "X-MBX-APIKEY listenKey signature",
		"Coinbase":       "CB-ACCESS-KEY CB-ACCESS-SIGN CB-ACCESS-PASSPHRASE",
		"Kraken":         "API-Key API-Sign",
		"KuCoin":         "KC-API-KEY KC-API-SIGN KC-API-PASSPHRASE KC-API-PARTNER-SIGN token",
		"OKX and Bitget": "OK-ACCESS-KEY OK-ACCESS-SIGN OK-ACCESS-PASSPHRASE ACCESS-KEY ACCESS-SIGN ACCESS-PASSPHRASE",
		"Bybit":          "X-BAPI-API-KEY X-BAPI-SIGN X-BAPI-SIGN-TYPE api_key sign",
		"Gate.io":        "KEY SIGN",
		"HTX":            "AccessKeyId Signature",
		"Bitfinex":       "bfx-apikey bfx-signature",
		"Bitstamp":       "X-Auth X-Auth-Signature X-Auth-Nonce",
		"Gemini":         "X-GEMINI-APIKEY X-GEMINI-SIGNATURE",
		"BitMEX":         "api-key api-signature",
		"more exchanges": "FTX-KEY FTX-SIGN X-BX-APIKEY X-BM-KEY X-BM-SIGN X-COINEX-KEY X-COINEX-SIGN X-MEXC-APIKEY X-TXC-APIKEY x-phemex-access-token x-phemex-request-signature validate-appkey validate-signature btse-api btse-sign X-BB-APIKEY DYDX-API-KEY DYDX-SIGNATURE DYDX-PASSPHRASE POLY_API_KEY POLY_SIGNATURE POLY_PASSPHRASE KALSHI-ACCESS-KEY KALSHI-ACCESS-SIGNATURE X-COINONE-SIGNATURE",
		"brokers":        "APCA-API-KEY-ID APCA-API-SECRET-KEY CST X-SECURITY-TOKEN X-IG-API-KEY X-Application X-Authentication X-PrivateKey feedToken jwtToken",
		"passwords":      "password Password passwd pass pwd pw pin otp passcode user_password db.password user[password] creds psk",
	} {
		for name := range strings.FieldsSeq(names) {
			if !isSecretName(name) {
				t.Errorf("%s: %s is secret", group, name)
			}
		}
	}
	for _, names := range []string{
		"Host Origin Referer User-Agent Accept Accept-Encoding Content-Type Content-Length Cache-Control Pragma Range If-None-Match Date Via Forwarded X-Forwarded-For X-Request-Id X-Correlation-Id Traceparent",
		"Sec-WebSocket-Version Sec-WebSocket-Protocol Sec-WebSocket-Extensions Sec-Fetch-Mode X-Requested-With Upgrade-Insecure-Requests",
		"X-Amz-Date X-Amz-Expires X-Amz-SignedHeaders X-Amz-Algorithm X-Amz-Target x-amz-content-sha256 X-Goog-Date x-ms-version X-GitHub-Api-Version OpenAI-Beta OpenAI-Organization",
		"CB-ACCESS-TIMESTAMP CB-VERSION KC-API-TIMESTAMP X-BAPI-TIMESTAMP X-BAPI-RECV-WINDOW bfx-nonce X-GEMINI-PAYLOAD api-expires connectId",
		"symbol symbols market markets interval limit depth streams stream channel topic timestamp version format compress speed room user id language-code country keyboard author authority passenger signal assigned designer keyframe codec model sample_rate language encoding",
	} {
		for name := range strings.FieldsSeq(names) {
			if isSecretName(name) {
				t.Errorf("%s is no secret", name)
			}
		}
	}
	is.New(t).True(!isSecretName(""))
}

func TestIsPlainProtocol(t *testing.T) {
	for _, name := range strings.Fields(`
		chat superchat v1 graphql-ws graphql-transport-ws actioncable-v1-json aws-appsync-event-ws realtime openai-beta.realtime-v1
		v4.channel.k8s.io v5.channel.k8s.io base64.channel.k8s.io v4.base64.channel.k8s.io SPDY/3.1+portforward.k8s.io
		json.webpubsub.azure.v1 json.reliable.webpubsub.azure.v1 mqttv3.1 janus-protocol vite-hmr tty binary lws-mirror-protocol
		MBWS.huawei.com soap wamp v12.stomp ocpp1.6 ocpp2.0.1 rfb sip notificationchannel-netapi-rest.openmobilealliance.org amqp mqtt jsflow
		xmpp ship mielecloudconnect v10.pcp.sap.com v1.saltyrtc.org TLCP-2.0.0.lightstreamer.com bfcp tldp.softvelum.com opcua+uacp opcua+uajson
		v1.swindon-lattice+json v1.usp mles-websocket coap sqlnet.oracle.com oneM2M.R2.0.json transit 2016.serverpush.dash.mpeg.org
		2018.mmt.mpeg.org clue webrtc.softvelum.com cobra.v2.json drp hub.bsc.bacnet.org jmap t140 done collection-update text.ircv3.net
		v3.penguin-stats.live+proto wamp.2.msgpack`) {
		if !isPlainProtocol(name) {
			t.Errorf("%s is a plain name", name)
		}
	}
	for _, name := range strings.Fields(`
		base64url.bearer.authorization.k8s.io.Y2FuYXJ5 base64UrlBearerAuthorization.eyJhbGciOiJIUzI1NiJ9 header-eyJob3N0IjoiYSJ9 header-e30 header-abc Header-abc
		openai-insecure-api-key.sk-proj-abc eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln bearer.abc Bearer token access_token jwt.abc auth-abc ticket.abc
		c2VjcmV0 dGhpcyBpcyBz aB3dE5gH1jK2mN4p x7Kp2mQ9 0123456789abcdef0123456789abcdef01234567 550e8400-e29b-41d4-a716-446655440000
		sk-12345 v1.99999 tilde~name percent%41 abcdefghijklmnopqrstu`) {
		if isPlainProtocol(name) {
			t.Errorf("%s may be a credential", name)
		}
	}
	is.New(t).True(!isPlainProtocol(strings.Repeat("chat-", 13)))
	is.New(t).True(!isPlainProtocol("a b"))
}

// What a subprotocol carries is shown nowhere: not of those offered, not in an
// error where the server sends one of them back.
func TestSecretSubprotocolIsNotShown(t *testing.T) {
	const token = "base64url.bearer.authorization.k8s.io.canary1234canary"
	ofStep := Use(onHeader(func(h http.Header) { h["Sec-WebSocket-Protocol"] = []string{"v1", token} }))
	for _, given := range []Option{SecretSubprotocol("canary"), Subprotocols("v1", token), Header("Sec-WebSocket-Protocol", []string{"v1", token}), ofStep} {
		for _, tt := range []struct {
			name, answer, err string
		}{
			{"chosen", "", ""},
			{"the whole offer", "v1, ", "reqws: handshake: ws://example.com/: the server chose a Sec-WebSocket-Protocol that was not offered: v1, REDACTED"},
			{"in capitals", "X", "reqws: handshake: ws://example.com/: the server chose a Sec-WebSocket-Protocol that was not offered: REDACTED"},
			{"in another case", "x", "reqws: handshake: ws://example.com/: the server chose a Sec-WebSocket-Protocol that was not offered: REDACTED"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				is := is.New(t)
				r := New(URL("ws://example.com/"), given)
				secret := r.c.header.protocols.secret
				if secret == "" {
					secret = token
				}
				answer := tt.answer + secret
				if tt.answer == "X" {
					answer = strings.ToUpper(secret)
				}
				if tt.answer == "x" {
					answer = strings.ToUpper(secret[:1]) + secret[1:]
					if r.c.header.protocols.secret != "" {
						answer += "4canary5" // of which no part says that it is secret
					}
				}
				srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol(answer))).Times(2))
				r = r.With(DialContext(srv.DialContext))
				conn, _, dialErr := r.Dial(t.Context())
				resp, err := r.Do(t.Context())
				if tt.err != "" {
					is.Equal(err.Error(), tt.err)
					is.Equal(dialErr.Error(), tt.err)
					hides(t, shown(err))
					return
				}
				is.NoErr(err)
				is.NoErr(dialErr)
				is.NoErr(conn.CloseNow())
				is.NoErr(resp.CloseNow())
				is.Equal(resp.Subprotocol, secret)
				hides(t, shown(resp)+shown(*resp)+shown(r)+shown(resp.Request.Header))
				is.True(strings.Contains(fmt.Sprint(resp.Request.Header), "REDACTED"))
			})
		}
	}
}

// A Request shows its URL where it is one, and nothing where a password may be
// what makes it another, or none.
func TestShownURLOfARequest(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                       "(no URL)",
		"wss://example.com/rooms/:room?q#":       "invalid URL", // a # that lacks its escape
		"wss://example.com:8443/rooms/:room?k=v": "wss://example.com:8443/rooms/:room",
		"wss://u:canary@example.com/{room}/x":    "wss://example.com/{room}/x",
		"wss://u:canary@example.com:1/@room":     "wss://example.com:1/@room",
		"https://example.com/a#part":             "https://example.com/a",
		"/rooms/:room":                           "/rooms/:room",
		":room/x":                                ":room/x",
		"rooms?x=canary":                         "rooms",
		"wss://[::1]:80/a":                       "wss://[::1]:80/a",
		"wss://example.com/@room":                "wss://example.com/REDACTED",
		"wss://example.com:80/x?mail=a@b":        "wss://example.com:80/x",
		"wss:/admin:canary@host":                 "invalid URL",
		"wss:admin:canary@host":                  "invalid URL",
		"admin:canary@host":                      "invalid URL",
		"wss:///admin:canary@host/":              "invalid URL",
		"//admin:canary@host/":                   "/REDACTED",
		"/admin:canary@host/":                    "/REDACTED",
		"wss://admin:12345678#canary@host/x":     "invalid URL",
		"wss://admin:canary#@host/x":             "invalid URL",
		"https://admin:1234#canary@host/x":       "https://REDACTED/REDACTED",
		"wss://admin:1234/canary@host/x":         "wss://REDACTED/REDACTED",
		"wss://admin:1234?canary@host/x":         "wss://REDACTED/REDACTED",
		"wss://canary/x@host":                    "wss://REDACTED/REDACTED",
		"canary://host":                          "invalid URL",
		"wss://canary%zz@host/":                  "invalid URL",
		"wss://example.com/\ncanary":             "invalid URL",
		"wss://example.com:canary/":              "invalid URL",
	} {
		t.Run(raw, func(t *testing.T) {
			is := is.New(t)
			for _, r := range []*Request{New(URL(raw)), New(BaseURL("wss://u:canary@example.com/canary"), URL(raw))} {
				is.Equal(fmt.Sprint(r), "reqws.Request{"+want+"}")
				hides(t, shown(r))
			}
		})
	}
}

// Nor does an error of such a URL show any of it, as far as the URL is what is wrong,
// and later not the port and path that may be a password's.
func TestErrorsOfAURLWithAPasswordInTheWrongPlace(t *testing.T) {
	for _, raw := range []string{
		"wss://admin:12345678#@host/x", "https://admin:12345678#@host/x", "wss:/admin:12345678@host", "wss:admin:12345678@host", "admin:12345678@host", "wss:///admin:12345678@host",
		"//admin:12345678@host", "/admin:12345678@host", "wss://admin:12345678/@host", "wss://admin:1234/5678@host/", "wss://admin:1234?5678@host/", "ftp://admin:1234/5678@host/",
		"wss://admin:12345678/@host", "12345678://host/", "wss://12345678/x@host/", "wss://u:12345678@h:99999/",
	} {
		t.Run(raw, func(t *testing.T) {
			refuses := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EHOSTUNREACH }
			for _, opts := range [][]Option{{URL(raw)}, {BaseURL(raw)}} {
				_, err := New(append(opts, DialContext(refuses), Retry(Never), Proxy(nil))...).Do(t.Context())
				if err == nil {
					t.Fatal("no error")
				}
				for _, part := range []string{"1234", "5678"} {
					if strings.Contains(err.Error(), part) {
						t.Errorf("%v", err)
					}
				}
			}
		})
	}
}

func TestFail(t *testing.T) {
	is := is.New(t)
	is.NoErr(fail("dial", nil, nil))
	deep := fail("dial", &url.URL{Scheme: "ws", Host: "h"}, syscall.ECONNREFUSED)
	// What is around the URL of a url.Error goes with it, the phase inside stays.
	err := fail("request", nil, fmt.Errorf("outer canary: %w", &url.Error{Op: "Get", URL: "canary", Err: deep}))
	is.Equal(err.Error(), "reqws: dial: ws://h: connection refused")
	is.True(errors.Is(err, syscall.ECONNREFUSED))
	// A step's own words stay.
	is.Equal(fail("request", nil, fmt.Errorf("mine: %w", deep)).Error(), "mine: reqws: dial: ws://h: connection refused")
}
