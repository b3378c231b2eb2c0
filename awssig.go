package reqws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/reqws/reqws/internal/host"
)

// AWSSigV4 signs each attempt with AWS Signature Version 4, after all other
// steps. See [SigV4] for the fields and their defaults.
func AWSSigV4(s SigV4) Option {
	return checked("AWSSigV4", s, SigV4.check, func(c *config, s SigV4) { c.sigV4 = &s })
}

// SigV4 says how [AWSSigV4] signs. Service is required, and either the two keys
// or Credentials. Printing a SigV4 shows no key.
//
// Signed are Host, x-amz-* and the other headers of the request, but never
// User-Agent, Accept-Encoding, From, Max-Forwards, Pragma, Referer, Sec-WebSocket-*
// and hop-by-hop headers, which the way to the server may change. A port in Host that
// is the scheme's default is neither sent nor signed. The query is sent in the
// canonical order that is signed.
//
// The path is signed as it is sent, so that the same bytes have the same signature
// however the URL was written, and as the service computes it from what it
// receives: without empty, "." and ".." segments, and encoded once more. What is
// percent-encoded on the wire, such as the ARN in a path parameter, is thus encoded
// twice in the canonical request. S3's own services (s3, s3express, s3-outposts and
// s3-object-lambda) sign the path unchanged.
type SigV4 struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // of temporary credentials
	// Credentials, where it is set, is asked in place of the fields above, on each
	// attempt and redirect and with the context of the request. aws.NewCredentialsCache
	// keeps what a provider returns.
	Credentials aws.CredentialsProvider

	Service string // the signing name, such as execute-api
	Region  string // us-east-1 where it is empty

	Time func() time.Time // of the signature; time.Now where it is nil

	// Presign signs the query in place of the headers where it is above 0, and is
	// how long the signature is valid: whole seconds, at most 7 days.
	Presign time.Duration
	// TokenAfterSigning leaves the session token out of the signature and adds it
	// afterwards, as AWS IoT Core asks.
	TokenAfterSigning bool
}

const maxPresign = 7 * 24 * time.Hour

func (s SigV4) check() error {
	hasKeys := s.AccessKeyID != "" && s.SecretAccessKey != ""
	switch {
	case s.Credentials != nil && isNil(s.Credentials):
		return errors.New("the field Credentials is a nil pointer")
	case s.Credentials == nil && !hasKeys:
		return errors.New("neither AccessKeyID and SecretAccessKey nor Credentials are given")
	case s.Service == "":
		return errors.New("the field Service is missing")
	case s.Presign < 0 || s.Presign > maxPresign || s.Presign%time.Second != 0:
		return fmt.Errorf("the field Presign is %v, not whole seconds up to 7 days", s.Presign)
	}
	return nil
}

func (s SigV4) credentials(ctx context.Context) (aws.Credentials, error) {
	if s.Credentials == nil {
		return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken}, nil
	}
	creds, err := await(ctx, s.Credentials.Retrieve)
	if err == nil && !creds.HasKeys() {
		err = errors.New("the credentials provider returned no keys")
	}
	return creds, err
}

// sign is the step for [AWSSigV4], the last one before the handshake.
func sign(s *SigV4, next http.RoundTripper) http.RoundTripper {
	if s == nil {
		return next
	}
	signer := v4.NewSigner()
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		if Foreign(req.Context()) {
			return next.RoundTrip(req)
		}
		signed, err := s.sign(signer, req)
		if err != nil {
			return nil, fail("aws", req.URL, err)
		}
		return next.RoundTrip(signed)
	})
}

// The parts of a signature, as headers and as parameters of the query.
const (
	amzDate          = "X-Amz-Date"
	amzExpires       = "X-Amz-Expires"
	amzSecurityToken = "X-Amz-Security-Token"
	amzContentSHA256 = "X-Amz-Content-Sha256"
)

var signatureParams = []string{
	"X-Amz-Algorithm", "X-Amz-Credential", amzDate, amzExpires, "X-Amz-SignedHeaders", "X-Amz-Signature", amzSecurityToken,
}

// s3Services are the signing names of S3's own services, which take the path as
// it is. Others whose names begin alike (s3tables, s3vectors) sign as all do.
var s3Services = []string{"s3", "s3express", "s3-outposts", "s3-object-lambda"}

// sign returns a signed copy of req.
func (s SigV4) sign(signer *v4.Signer, req *http.Request) (*http.Request, error) {
	ctx := req.Context()
	creds, err := s.credentials(ctx)
	if err != nil {
		return nil, err
	}
	payload, err := payloadHash(req)
	if err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query of the URL cannot be parsed")
	}
	req = req.Clone(ctx)
	deleteHeader(req.Header, amzDate)
	deleteHeader(req.Header, amzSecurityToken)
	req.Host = withoutPort(cmp.Or(req.Host, req.URL.Host), host.Ports[req.URL.Scheme])
	if s.Presign > 0 {
		return req, s.signQuery(signer, creds, req, query, payload)
	}
	return req, s.signHeader(signer, creds, req, query, payload)
}

// signQuery puts the signature into the query of req.
func (s SigV4) signQuery(signer *v4.Signer, creds aws.Credentials, req *http.Request, query url.Values, payload string) error {
	for _, name := range signatureParams {
		query.Del(name)
	}
	query.Set(amzExpires, strconv.FormatInt(int64(s.Presign/time.Second), 10))
	if s.isS3() {
		payload = "UNSIGNED-PAYLOAD"
	}
	uri, _, err := signer.PresignHTTP(req.Context(), creds, s.signable(req, query), payload, s.Service, s.region(), s.now(), s.options)
	if err != nil {
		return err
	}
	_, req.URL.RawQuery, _ = strings.Cut(uri, "?")
	if s.TokenAfterSigning && creds.SessionToken != "" {
		req.URL.RawQuery += "&" + amzSecurityToken + "=" + url.QueryEscape(creds.SessionToken)
	}
	return nil
}

// signHeader puts the signature into the headers of req.
func (s SigV4) signHeader(signer *v4.Signer, creds aws.Credentials, req *http.Request, query url.Values, payload string) error {
	deleteHeader(req.Header, "Authorization")
	if s.isS3() {
		req.Header.Set(amzContentSHA256, payload) // S3 asks for it
	}
	signed := s.signable(req, query)
	if err := signer.SignHTTP(req.Context(), creds, signed, payload, s.Service, s.region(), s.now(), s.options); err != nil {
		return err
	}
	for _, name := range []string{"Authorization", amzDate, amzSecurityToken} {
		if values := signed.Header[name]; values != nil {
			req.Header[name] = values
		}
	}
	req.URL.RawQuery = signed.URL.RawQuery
	if s.TokenAfterSigning && creds.SessionToken != "" {
		req.Header.Set(amzSecurityToken, creds.SessionToken)
	}
	return nil
}

func (s SigV4) isS3() bool { return slices.Contains(s3Services, s.Service) }

func (s SigV4) region() string { return cmp.Or(s.Region, "us-east-1") }

func (s SigV4) now() time.Time {
	if s.Time != nil {
		return s.Time()
	}
	return time.Now()
}

// options tells the signer how the service is signed.
func (s SigV4) options(o *v4.SignerOptions) {
	o.DisableURIPathEscaping = s.isS3()
	o.DisableHeaderHoisting = true
	o.DisableSessionToken = s.TokenAfterSigning
}

// normalizedPath takes the empty, "." and ".." segments out of a path as it is
// sent. A slash at its end stays.
func normalizedPath(sent string) string {
	clean := path.Clean(sent)
	if strings.HasSuffix(sent, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// signable returns req as the signer is to see it: under http or https, with the
// path and query to sign and without the headers that are not signed.
func (s SigV4) signable(req *http.Request, query url.Values) *http.Request {
	signedPath, _, _ := strings.Cut(req.URL.RequestURI(), "?")
	if !s.isS3() {
		signedPath = normalizedPath(signedPath)
	}
	// Opaque, since the signer takes a path in there as it is.
	u := &url.URL{Scheme: asHTTP(req.URL.Scheme), Opaque: "//" + signedPath, RawQuery: query.Encode()}
	return &http.Request{
		Method: req.Method,
		URL:    u,
		Host:   req.Host,
		Header: signedHeader(req.Header),
		// The signer signs Content-Length where it is above 0.
		ContentLength: max(0, req.ContentLength),
	}
}

// signedHeader copies the headers that are signed.
func signedHeader(h http.Header) http.Header {
	hidden := []string{
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", // hop-by-hop
		"Host", "Authorization", "Content-Length", "User-Agent", "Accept-Encoding",
		"From", "Max-Forwards", "Pragma", "Referer",
	}
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			hidden = append(hidden, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	signed := make(http.Header, len(h)+3)
	for _, written := range slices.Sorted(maps.Keys(h)) { // the order on the wire
		name, values := http.CanonicalHeaderKey(written), h[written]
		if len(values) == 0 || slices.Contains(hidden, name) || strings.HasPrefix(name, "Sec-Websocket-") {
			continue
		}
		signed[name] = append(signed[name], values...)
	}
	return signed
}

// payloadHash returns the SHA-256 of the body. It is read from a copy: the request's own
// is still to be sent.
func payloadHash(req *http.Request) (string, error) {
	hash := sha256.New()
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return "", errors.New("the request has a body, but no GetBody to hash it from")
		}
		body, err := req.GetBody()
		if err != nil {
			return "", err
		}
		defer body.Close()
		if _, err := io.Copy(hash, body); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
