package reqws

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// vectorKeys are the credentials of AWS's test suite.
func vectorKeys(token string) SigV4 {
	return SigV4{
		AccessKeyID:     "AKIDEXAMPLE",
		SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		SessionToken:    token,
		Service:         "service",
	}
}

func at(value string) func() time.Time {
	return func() time.Time {
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			panic(err)
		}
		return t
	}
}

// verified is what a server makes of a signed request that arrived.
type verified struct {
	canonical    string // request
	stringToSign string
	signature    string // that it must have
	got          string // that it has
	signed       string // headers
	access       string // key
	token        string // of the session
}

// verify does what an AWS service does with a request, from what was received
// alone: it knows nothing of the signer. pathOf writes the canonical path.
func verify(t *testing.T, r *reqwstest.Request, secret string, pathOf func(string) string, unsigned ...string) verified {
	t.Helper()
	var v verified
	path, query, _ := strings.Cut(r.RequestURI, "?")
	credential, date := "", r.Header.Get("X-Amz-Date")
	v.token = r.Header.Get("X-Amz-Security-Token")
	if auth, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "); ok {
		for part := range strings.SplitSeq(auth, ", ") {
			name, value, _ := strings.Cut(part, "=")
			switch name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				v.signed = value
			case "Signature":
				v.got = value
			}
		}
	}
	var params [][2]string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, hasValue := strings.Cut(pair, "=")
		decoded := strings.NewReplacer("%2F", "/", "%3B", ";").Replace(value)
		switch name {
		case "X-Amz-Credential":
			credential = decoded
		case "X-Amz-SignedHeaders":
			v.signed = decoded
		case "X-Amz-Date":
			date = value
		case "X-Amz-Security-Token":
			v.token = value
		case "X-Amz-Signature":
			v.got = value
			continue
		}
		if query == "" || slices.Contains(unsigned, name) {
			continue
		}
		if !hasValue {
			t.Errorf("the query is not canonical: %s", query)
		}
		params = append(params, [2]string{name, value})
	}
	// By name, then by value: as whole pairs "a-b=" would stand before "a=".
	slices.SortFunc(params, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var pairs []string
	for _, p := range params {
		pairs = append(pairs, p[0]+"="+p[1])
	}

	var headers strings.Builder
	for name := range strings.SplitSeq(v.signed, ";") {
		var values []string
		for _, value := range r.Header.Values(name) {
			values = append(values, strings.Join(strings.Fields(value), " "))
		}
		if name == "host" {
			values = []string{r.Host}
		}
		if len(values) == 0 {
			t.Errorf("%s is signed, but not sent", name)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(values, ","))
	}
	v.canonical = strings.Join([]string{r.Method, pathOf(path), strings.Join(pairs, "&"), headers.String(), v.signed, emptySHA256}, "\n")

	access, scope, _ := strings.Cut(credential, "/")
	v.access = access
	sum := sha256.Sum256([]byte(v.canonical))
	v.stringToSign = strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + secret)
	// The scope is date/region/service/aws4_request.
	for _, part := range append(strings.Split(scope, "/"), v.stringToSign) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	v.signature = hex.EncodeToString(key)
	return v
}

func asReceived(path string) string { return path }

// encodedAgain is the canonical path of all services but S3.
func encodedAgain(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// The vectors of AWS's signing test suite, from the options to what a server
// receives.
func TestSigV4Vectors(t *testing.T) {
	dirs, err := filepath.Glob("testdata/sigv4/*/context.json")
	if err != nil || len(dirs) != 7 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		read := func(name string) string {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return strings.ReplaceAll(string(text), "\r\n", "\n")
		}
		var given struct {
			Credentials struct {
				Access string `json:"access_key_id"`
				Secret string `json:"secret_access_key"`
				Token  string
			}
			Expires         int `json:"expiration_in_seconds"`
			Region, Service string
			Timestamp       string
		}
		if err := json.Unmarshal([]byte(read("context.json")), &given); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(read("request.txt")), "\n")
		target := strings.TrimSuffix(strings.TrimPrefix(lines[0], "GET "), " HTTP/1.1")
		header := make(http.Header)
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ":")
			header[name] = append(header[name], value)
		}
		host := header.Get("Host")
		delete(header, "Host")

		for _, form := range []string{"header", "query"} {
			for _, scheme := range []string{"ws", "http"} {
				t.Run(filepath.Base(dir)+"/"+form+"/"+scheme, func(t *testing.T) {
					is := is.New(t)
					sig := SigV4{
						AccessKeyID: given.Credentials.Access, SecretAccessKey: given.Credentials.Secret, SessionToken: given.Credentials.Token,
						Service: given.Service, Region: given.Region, Time: at(given.Timestamp),
					}
					if form == "query" {
						sig.Presign = time.Duration(given.Expires) * time.Second
					}
					answer := reqwstest.Accept()
					if scheme == "http" {
						answer = reqwstest.Respond(200, nil, "")
					}
					srv := reqwstest.NewMemory(t, reqwstest.Script(answer))
					resp, err := New(URL(scheme+"://"+host+target), Headers(header), AWSSigV4(sig), DialContext(srv.DialContext)).Do(t.Context())
					is.NoErr(err)
					defer resp.CloseNow()

					got := verify(t, srv.Requests()[0], sig.SecretAccessKey, asReceived)
					is.Equal(got.canonical, read(form+"-canonical-request.txt"))
					is.Equal(got.stringToSign, read(form+"-string-to-sign.txt"))
					is.Equal(got.got, read(form+"-signature.txt"))
					is.Equal(got.signature, got.got)
					if form == "header" {
						_, want, _ := strings.Cut(read("header-signed-request.txt"), "\nAuthorization:")
						is.Equal(srv.Requests()[0].Header.Get("Authorization"), strings.TrimSpace(want))
					}
				})
			}
		}
	}
}

// The signature is that of the path as it is sent, however the URL was written.
// Those of AWS's test suite for characters that no request line holds unescaped
// (get-utf8, get-space) are thus not ours.
func TestSigV4OfThePath(t *testing.T) {
	const host = "example.amazonaws.com"
	tests := []struct {
		name    string
		paths   []string // all of them are
		sent    string
		service string // service where empty
		path    string // in the canonical request
		// of AWS's test suite where it has the request line as it is sent
		signature string
	}{
		{name: "letters", paths: []string{"/ሴ", "/%E1%88%B4"}, sent: "/%E1%88%B4", path: "/%25E1%2588%25B4",
			signature: "697b34846207a3f72246f99d74ae1ee4fe54f44bb06730c58a0d339eb079596d"},
		{name: "space", paths: []string{"/example space/", "/example%20space/"}, sent: "/example%20space/", path: "/example%2520space/", signature: "446b8179"},
		{name: "others that need an escape", paths: []string{"/a|{x}", "/a%7C%7Bx%7D", "/a|%7Bx}"}, sent: "/a%7C%7Bx%7D", path: "/a%257C%257Bx%257D"},
		{name: "beside an escaped slash", paths: []string{"/ä b/%2F", "/%C3%A4%20b/%2F"}, sent: "/%C3%A4%20b/%2F", path: "/%25C3%25A4%2520b/%252F"},
		{name: "others that need none", paths: []string{"/@a:b"}, sent: "/@a:b", path: "/%40a%3Ab"},
		{name: "nothing", paths: []string{"", "/"}, sent: "/", path: "/", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},

		{name: "slash", paths: []string{"//"}, sent: "//", path: "/", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "slash dot slash", paths: []string{"/./"}, sent: "/./", path: "/", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "slashes", paths: []string{"//example//"}, sent: "//example//", path: "/example/", signature: "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
		{name: "pointless dot", paths: []string{"/./example"}, sent: "/./example", path: "/example", signature: "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
		{name: "relative", paths: []string{"/example/.."}, sent: "/example/..", path: "/", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "relative twice", paths: []string{"/example1/example2/../.."}, sent: "/example1/example2/../..", path: "/", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "above the root", paths: []string{"/../../a"}, sent: "/../../a", path: "/a"},
		{name: "escaped dots are none", paths: []string{"/%2E%2E/a"}, sent: "/%2E%2E/a", path: "/%252E%252E/a"},

		{name: "S3", service: "s3", paths: []string{"//a b/./%2F|", "//a%20b/./%2F%7C"}, sent: "//a%20b/./%2F%7C", path: "//a%20b/./%2F%7C"},
		{name: "S3 Express", service: "s3express", paths: []string{"/a b"}, sent: "/a%20b", path: "/a%20b"},
		{name: "S3 on Outposts", service: "s3-outposts", paths: []string{"/a b"}, sent: "/a%20b", path: "/a%20b"},
		{name: "S3 Object Lambda", service: "s3-object-lambda", paths: []string{"/a b"}, sent: "/a%20b", path: "/a%20b"},
		{name: "S3 Tables is not S3", service: "s3tables", paths: []string{"//a b"}, sent: "//a%20b", path: "/a%2520b"},
		{name: "S3 Vectors is not S3", service: "s3vectors", paths: []string{"//a b"}, sent: "//a%20b", path: "/a%2520b"},
	}
	for _, tt := range tests {
		for _, path := range tt.paths {
			for from, opts := range map[string][]Option{
				"URL":      {URL("ws://" + host + path)},
				"BaseURL":  {BaseURL("ws://" + host + path)},
				"redirect": {URL("ws://" + host + "/first")},
				"presign":  {URL("ws://" + host + path)},
			} {
				switch {
				case from == "redirect" && strings.Contains(path, "/."): // resolved (RFC 3986, section 5.2.4)
					continue
				case from == "presign" && strings.HasPrefix(tt.service, "s3"): // S3 signs no payload then
					continue
				}
				t.Run(tt.name+"/"+path+"/"+from, func(t *testing.T) {
					is := is.New(t)
					sig := vectorKeys("")
					sig.Service, sig.Time = cmp.Or(tt.service, "service"), at("2015-08-30T12:36:00Z")
					if from == "presign" {
						sig.Presign = time.Hour
					}
					script := []reqwstest.Option{reqwstest.Script(reqwstest.Accept())}
					if from == "redirect" {
						location := "ws://" + host + path
						script = append([]reqwstest.Option{reqwstest.Script(reqwstest.Redirect(307, location))}, script...)
					}
					srv := reqwstest.NewMemory(t, script...)
					resp, err := New(append(opts, AWSSigV4(sig), DialContext(srv.DialContext))...).Do(t.Context())
					is.NoErr(err)
					defer resp.CloseNow()

					r := srv.Requests()[len(srv.Requests())-1]
					sent, _, _ := strings.Cut(r.RequestURI, "?")
					is.Equal(sent, tt.sent)
					got := verify(t, r, sig.SecretAccessKey, func(string) string { return tt.path })
					is.Equal(got.got, got.signature)
					if from != "presign" {
						is.True(strings.HasPrefix(got.got, tt.signature))
					}
				})
			}
		}
	}
}

// Parameters are signed in the order of their names, which is not that of the
// pairs: "-" stands before "=". The signature is that of AWS's test suite.
func TestSigV4OfTheQuery(t *testing.T) {
	is := is.New(t)
	sig := vectorKeys("")
	sig.Time = at("2015-08-30T12:36:00Z")
	r := sent(t, URL("ws://example.amazonaws.com/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1"), AWSSigV4(sig))
	got := verify(t, r, sig.SecretAccessKey, encodedAgain)
	is.Equal(got.signature, "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac")
	is.Equal(got.got, got.signature)
}

func TestSignedHeaders(t *testing.T) {
	is := is.New(t)
	sig := vectorKeys("")
	sig.Time = at("2024-05-01T10:11:12Z")
	r := sent(t, URL("ws://example.com/"), AWSSigV4(sig), Subprotocols("a"),
		Use(func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				req.Header["Connection"], req.Header["X-Hop"] = []string{"x-hop"}, []string{"1"}
				return next.RoundTrip(req)
			})
		}),
		Headers(http.Header{"x-lower": {" a  b "}, "X-Amz-Meta": {"m"}, "aCCept-encoding": {"gzip"}, "TE": {"x"}, "Keep-Alive": {"y"},
			"From": {"f"}, "Max-Forwards": {"1"}, "pragma": {"no-cache"}, "Referer": {"https://example.com"},
			"Proxy-Authorization": {"p"}, "Origin": {"o"}, "X-Empty": {""}, "X-None": nil, "x-amz-date": {"old"}, "authorization": {"old"}}))
	got := verify(t, r, sig.SecretAccessKey, encodedAgain)
	is.Equal(got.signed, "host;origin;x-amz-date;x-amz-meta;x-empty;x-lower")
	is.Equal(got.got, got.signature)
	is.Equal(r.Header.Values("Authorization")[1:], []string{})
	is.Equal(r.Header.Values("X-Amz-Date"), []string{"20240501T101112Z"})
	for name, value := range map[string]string{"Accept-Encoding": "gzip", "From": "f", "Max-Forwards": "1", "Pragma": "no-cache", "Referer": "https://example.com"} {
		is.Equal(r.Header.Get(name), value) // sent, but not signed
	}
	is.Equal(r.Header.Get("Sec-WebSocket-Protocol"), "a")

	// Presigned, x-amz-* stay headers.
	sig.Presign = time.Second
	r = sent(t, URL("ws://example.com/"), AWSSigV4(sig), Auth(Bearer("t")), Header("X-Amz-Meta", "m"), Header("X-A", "1"))
	got = verify(t, r, sig.SecretAccessKey, encodedAgain)
	is.Equal(got.signed, "host;x-a;x-amz-meta")
	is.Equal(got.got, got.signature)
	is.Equal(r.Header.Get("Authorization"), "Bearer t")
}

// The port that is the scheme's default is neither sent nor signed.
func TestSignedHost(t *testing.T) {
	sig := vectorKeys("")
	for _, tt := range []struct{ url, header, want string }{
		{"ws://example.com:80/", "", "example.com"},
		{"ws://example.com/", "other.example:80", "other.example"},
		{"ws://example.com/", "other.example:443", "other.example:443"},
		{"ws://[::1]:80/", "", "[::1]"},
		{"ws://[::80]/", "", "[::80]"},
		{"ws://[::1]:8182/", "", "[::1]:8182"},
	} {
		opts := []Option{URL(tt.url), AWSSigV4(sig)}
		if tt.header != "" {
			opts = append(opts, Header("Host", tt.header))
		}
		is := is.New(t)
		r := sent(t, opts...)
		is.Equal(r.Host, tt.want)
		got := verify(t, r, sig.SecretAccessKey, encodedAgain)
		is.Equal(got.got, got.signature)
	}
}

// The token that is added afterwards is a header where the signature is one.
func TestTokenAfterSigningByHeader(t *testing.T) {
	is := is.New(t)
	sig := vectorKeys("a/b")
	sig.TokenAfterSigning = true
	r := sent(t, URL("ws://example.com/"), AWSSigV4(sig))
	got := verify(t, r, sig.SecretAccessKey, encodedAgain)
	is.Equal(got.signed, "host;x-amz-date")
	is.Equal(got.got, got.signature)
	is.Equal(r.Header.Get("X-Amz-Security-Token"), "a/b")

	sig.Presign = time.Minute
	r = sent(t, URL("ws://example.com/"), AWSSigV4(sig))
	is.True(strings.HasSuffix(r.RequestURI, "&X-Amz-Security-Token=a%2Fb"))
}

func TestSigV4ForS3(t *testing.T) {
	is := is.New(t)
	sig := vectorKeys("")
	sig.Service = "s3"
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "")))
	_, err := New(URL("http://b.s3.example/a%20b"), AWSSigV4(sig), DialContext(srv.DialContext)).Do(t.Context())
	is.NoErr(err)
	r := srv.Requests()[0]
	got := verify(t, r, sig.SecretAccessKey, asReceived)
	is.Equal(got.signed, "host;x-amz-content-sha256;x-amz-date")
	is.Equal(got.got, got.signature)
	is.Equal(r.Header.Get("X-Amz-Content-Sha256"), emptySHA256)
}

// Credentials are asked, and the signature made, on each attempt and redirect;
// what a former signature left in the query goes.
func TestSigV4IsMadeAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Refuse(503, nil, "")),
			reqwstest.Script(reqwstest.Redirect(307, "/b?X-Amz-Date=19990101T000000Z&X-Amz-Signature=old&X-Amz-Expires=9&keep=1")),
			reqwstest.Script(reqwstest.Accept()))
		n := 0
		provider := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			n++
			return aws.Credentials{AccessKeyID: fmt.Sprint("AKID", n), SecretAccessKey: fmt.Sprint("secret", n), SessionToken: fmt.Sprint("token", n)}, ctx.Err()
		})
		resp, err := New(URL("ws://example.com/a"), DialContext(srv.DialContext), Logger(nil),
			RetryDelay(func(int) time.Duration { return time.Second }),
			AWSSigV4(SigV4{Credentials: provider, AccessKeyID: "not used", Service: "execute-api", Presign: time.Minute})).Do(t.Context())
		is.NoErr(err)
		resp.CloseNow()
		dates := []string{"20000101T000000Z", "20000101T000001Z", "20000101T000001Z"}
		for i, r := range srv.Requests() {
			is.True(strings.Contains(r.RequestURI, "X-Amz-Date="+dates[i]))
			got := verify(t, r, fmt.Sprint("secret", i+1), encodedAgain)
			is.Equal(got.got, got.signature)
			is.Equal(got.access, fmt.Sprint("AKID", i+1))
			is.Equal(got.token, fmt.Sprint("token", i+1))
		}
		is.True(strings.Contains(srv.Requests()[2].RequestURI, "/b?X-Amz-Algorithm="))
		is.True(strings.Contains(srv.Requests()[2].RequestURI, "&keep=1"))
		is.Equal(strings.Count(srv.Requests()[2].RequestURI, "X-Amz-Signature="), 1)
	})
}

func TestBadSigV4(t *testing.T) {
	boom := errors.New("boom")
	from := func(creds aws.Credentials, err error) aws.CredentialsProvider {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, err })
	}
	tests := []struct {
		name string
		url  string
		sig  SigV4
		want string
	}{
		{"nothing", "", SigV4{Service: "x"}, "reqws: option AWSSigV4: neither AccessKeyID and SecretAccessKey nor Credentials are given"},
		{"half a key", "", SigV4{SecretAccessKey: "canary", Service: "x"}, "reqws: option AWSSigV4: neither"},
		{"no service", "", SigV4{AccessKeyID: "canary", SecretAccessKey: "canary"}, "reqws: option AWSSigV4: the field Service is missing"},
		{"nil provider", "", SigV4{Credentials: (*aws.CredentialsCache)(nil), Service: "x"}, "reqws: option AWSSigV4: the field Credentials is a nil pointer"},
		{"negative", "", SigV4{AccessKeyID: "a", SecretAccessKey: "canary", Service: "x", Presign: -1}, "reqws: option AWSSigV4: the field Presign is -1ns"},
		{"fraction", "", SigV4{AccessKeyID: "a", SecretAccessKey: "canary", Service: "x", Presign: 1500 * time.Millisecond}, "reqws: option AWSSigV4: the field Presign is 1.5s"},
		{"too long", "", SigV4{AccessKeyID: "a", SecretAccessKey: "canary", Service: "x", Presign: 8 * 24 * time.Hour}, "reqws: option AWSSigV4: the field Presign is 192h0m0s"},
		{"provider fails", "", SigV4{Credentials: from(aws.Credentials{}, boom), Service: "x"}, "reqws: aws: ws://example.com/: boom"},
		{"provider has none", "", SigV4{Credentials: from(aws.Credentials{SecretAccessKey: "canary"}, nil), Service: "x"}, "reqws: aws: ws://example.com/: the credentials provider returned no keys"},
		{"anonymous", "", SigV4{Credentials: aws.AnonymousCredentials{}, Service: "x"}, "reqws: aws: ws://example.com/: the AnonymousCredentials is not"},
		{"query that loses something", "ws://example.com/?a=1;b=canary", vectorKeys(""), "reqws: aws: ws://example.com/: the query of the URL cannot be parsed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			err := failed(t, URL(cmp.Or(tt.url, "ws://example.com/")), AWSSigV4(tt.sig))
			if !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%v\n  is not %s", err, tt.want)
			}
			is.True(!strings.Contains(err.Error(), "canary"))
			is.Equal(errors.Is(err, boom), tt.name == "provider fails")
		})
	}
}

func TestCredentialsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		release := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := New(URL("ws://example.com/"), AWSSigV4(SigV4{Service: "x", Credentials: aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) { <-release; return aws.Credentials{}, nil })})).Do(ctx)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(strings.HasPrefix(err.Error(), "reqws: aws: ws://example.com/: "))
		close(release)
	})
}

// A body that a user's step gives the request is signed with it.
func TestSigV4OfABody(t *testing.T) {
	is := is.New(t)
	withBody := func(getBody bool) Option {
		return Use(func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				filled, err := http.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), strings.NewReader("body"))
				if !getBody {
					filled.GetBody = nil
				}
				if err != nil {
					return nil, err
				}
				return next.RoundTrip(filled)
			})
		})
	}
	err := failed(t, URL("http://example.com/"), Method("POST"), withBody(false), AWSSigV4(vectorKeys("")))
	is.True(strings.Contains(err.Error(), "the request has a body, but no GetBody to hash it from"))

	sum := sha256.Sum256([]byte("body"))
	sig := vectorKeys("")
	sig.Service = "s3"
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "")))
	_, err = New(URL("http://example.com/"), Method("POST"), withBody(true), AWSSigV4(sig), DialContext(srv.DialContext)).Do(t.Context())
	is.NoErr(err)
	is.Equal(srv.Requests()[0].Header.Get("X-Amz-Content-Sha256"), hex.EncodeToString(sum[:]))
}
