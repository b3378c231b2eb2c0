package reqws

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/reqws/reqws/internal/failure"
)

// subprotocols are those that the options offer (RFC 6455, section 1.9).
type subprotocols struct {
	names  []string
	secret string // one more, that is a credential
}

// Subprotocols offers these subprotocols, the preferred one first (RFC 6455,
// section 1.9). [Response].Subprotocol is the one the server chose. One that is a
// credential belongs in [SecretSubprotocol].
func Subprotocols(names ...string) Option {
	return checked("Subprotocols", slices.Clone(names), func(names []string) error {
		for i, n := range names {
			if !isToken(n) {
				return fmt.Errorf("name %d is no token", i+1) // not shown: it may be a credential
			}
			if first := slices.Index(names, n); first < i {
				return fmt.Errorf("name %d is the same as name %d", i+1, first+1)
			}
		}
		return nil
	}, func(c *config, names []string) { c.header.protocols.names = names })
}

// SecretSubprotocol offers one more subprotocol, behind those of [Subprotocols], that
// is a credential: servers made for browsers take tokens in this way, such as
// base64url.bearer.authorization.k8s.io.TOKEN. It must be a token of RFC 9110, section
// 5.6.2, as base64url is without its =. No text, log line or error of this package
// shows it, and a redirect to another origin leaves it behind (see [RedirectTrusted]).
// [Response].Subprotocol holds it where the server chooses it.
func SecretSubprotocol(name string) Option {
	return checked("SecretSubprotocol", name, func(name string) error {
		if !isToken(name) {
			return errors.New("it is no token")
		}
		return nil
	}, func(c *config, name string) { c.header.protocols.secret = name })
}

const protocolHeader = "Sec-Websocket-Protocol" // as http.Header has it

// offer makes one field of the names that the options offer. To another
// origin go only those that cannot be credentials.
func (p *subprotocols) offer(req *http.Request, h *hop) {
	names := protocolNames(req.Header)
	if isWebSocket(req.URL) {
		if len(p.names) > 0 {
			names = slices.Clone(p.names)
		}
		if p.secret != "" && !slices.Contains(names, p.secret) {
			names = append(names, p.secret)
		}
	}
	if h.foreign {
		names = slices.DeleteFunc(names, p.hides)
	}
	deleteHeader(req.Header, protocolHeader)
	if len(names) > 0 {
		req.Header.Set(protocolHeader, strings.Join(names, ", "))
	}
}

// protocolNames returns the subprotocols of a header (RFC 6455, section 11.3.4), each once.
func protocolNames(h http.Header) []string {
	var spellings, all, once []string
	for name := range h {
		if strings.EqualFold(name, protocolHeader) { // a step may have written it as RFC 6455 does
			spellings = append(spellings, name)
		}
	}
	if spellings == nil {
		return nil
	}
	slices.Sort(spellings)
	for _, name := range spellings {
		all = append(all, h[name]...)
	}
	for name := range strings.FieldsFuncSeq(strings.Join(all, ","), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// check says what is wrong with the subprotocol that a server has
// chosen of those offered. Names differ in case, too (RFC 6455, section 4.1).
func (p *subprotocols) check(chosen string, offered []string) error {
	if chosen == "" || slices.Contains(offered, chosen) {
		return nil
	}
	return fmt.Errorf("the server chose a Sec-WebSocket-Protocol that was not offered: %s", p.shown(chosen))
}

// plainWord matches what names of subprotocols are put together from: v4, k8s,
// graphql, oneM2M, 2016. Random letters and digits are seldom so.
var plainWord = regexp.MustCompile(`^[A-Z]*[a-z]*[A-Z]*[0-9]{0,4}[A-Z]*[a-z]*[A-Z]*$`)

// isPlainProtocol tells a subprotocol that is a name from one that may carry a
// credential, as where browsers are to send one: base64url.bearer.authorization.k8s.io.
// and a token, or AppSync's header- and base64. A plain name has at most 64 characters, is
// made of words of at most 20 (letters, with a number of up to four digits somewhere)
// with . - _ + or / between them, and is by none of its words that of a credential.
func isPlainProtocol(name string) bool {
	if len(name) > 64 || isSecretName(name) || strings.HasPrefix(strings.ToLower(name), "header-") {
		return false
	}
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return strings.ContainsRune(".-_+/", r) }) {
		if len(word) > 20 || !plainWord.MatchString(word) {
			return false
		}
	}
	return true
}

// hides reports whether a subprotocol is, or may be, a credential.
func (p *subprotocols) hides(name string) bool {
	return p.secret != "" && strings.EqualFold(name, p.secret) || !isPlainProtocol(name)
}

// shown writes a list of subprotocols without those that may be
// credentials.
func (p *subprotocols) shown(list string) string {
	names := strings.Split(list, ",")
	for i, name := range names {
		if names[i] = strings.TrimSpace(name); p.hides(names[i]) {
			names[i] = failure.Hidden
		}
	}
	return strings.Join(names, ", ")
}
