package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This is the other side of AWSSigV4: how AWS finds out whether who asks has the secret. It is
// computed by hand, without the code that signed. A bot needs none of it.

const (
	algorithm   = "AWS4-HMAC-SHA256"
	amzDateForm = "20060102T150405Z"
	maxSkew     = 5 * time.Minute // between the clocks of both sides
)

// authorization is what an Authorization header of Signature Version 4 says.
type authorization struct {
	keyID, scope  string
	signedHeaders []string
	signature     string
}

// authorize reports why r is not let in at the time now; nil lets it in.
func (g *gateway) authorize(r *http.Request, now time.Time) error {
	auth, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	secret, known := g.keys[auth.keyID]
	if !known {
		return errors.New("the access key is not known")
	}
	signed, err := time.Parse(amzDateForm, r.Header.Get("X-Amz-Date"))
	if err != nil {
		return errors.New("X-Amz-Date is missing or malformed")
	}
	if skew := now.Sub(signed).Abs(); skew > maxSkew {
		return fmt.Errorf("the signature is too old or too new: it is of %s, and here it is %s",
			signed.Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	if want := signed.Format("20060102") + "/" + g.region + "/execute-api/aws4_request"; auth.scope != want {
		return fmt.Errorf("the signature is for %s, not for %s", auth.scope, want)
	}
	for _, name := range []string{"host", "x-amz-date"} {
		if !slices.Contains(auth.signedHeaders, name) {
			return fmt.Errorf("the header %s is not signed", name)
		}
	}
	if want := auth.compute(r, secret); !hmac.Equal([]byte(want), []byte(auth.signature)) {
		return errors.New("the signature does not match: check the secret access key")
	}
	return nil
}

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func parseAuthorization(header string) (authorization, error) {
	fields, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return authorization{}, errors.New("the request is not signed")
	}
	var a authorization
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			a.keyID, a.scope, _ = strings.Cut(value, "/")
		case "SignedHeaders":
			a.signedHeaders = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	return a, nil
}

// compute returns the signature that r has if it was signed with secret.
func (a authorization) compute(r *http.Request, secret string) string {
	request := sha256.Sum256([]byte(a.canonical(r)))
	toSign := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), a.scope, hex.EncodeToString(request[:])}, "\n")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(a.scope, "/") { // day, region, service, aws4_request
		key = sum(key, part)
	}
	return hex.EncodeToString(sum(key, toSign))
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// canonical is r in the form that is signed, whatever was changed in it on its way.
func (a authorization) canonical(r *http.Request) string {
	var headers strings.Builder
	for _, name := range a.signedHeaders {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	noBody := sha256.Sum256(nil)
	return strings.Join([]string{
		r.Method,
		// The path is escaped once more, segment by segment.
		strings.ReplaceAll(escape(r.URL.EscapedPath()), "%2F", "/"),
		canonicalQuery(r.URL.Query()),
		headers.String(),
		strings.Join(a.signedHeaders, ";"),
		hex.EncodeToString(noBody[:]),
	}, "\n")
}

// canonicalQuery orders the parameters by their names, then by their values.
func canonicalQuery(query url.Values) string {
	var pairs [][]string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, []string{escape(name), escape(value)})
		}
	}
	slices.SortFunc(pairs, slices.Compare)
	var b strings.Builder
	for i, pair := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(pair[0] + "=" + pair[1])
	}
	return b.String()
}

// escape leaves the unreserved characters alone (RFC 3986, section 2.3); url.QueryEscape has
// another idea of a space.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
