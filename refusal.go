package reqws

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reqws/reqws/internal/failure"
)

// maxExcerpt is how many bytes of a refusal's body an error shows.
const maxExcerpt = 200

// excerpt is what an error says of a refusal's body: its first two lines that say
// anything, as far as they can be printed, without what the request had in secrets.
func excerpt(header http.Header, body []byte, secrets []string) string {
	if coding := header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return ""
	}
	body = body[:min(len(body), 64<<10)]
	var lines []string
	for line := range strings.Lines(string(body)) {
		if line = printable(line); line != "" {
			lines = append(lines, line)
		}
		if len(lines) == 2 {
			break
		}
	}
	text := hide(strings.Join(lines, " "), secrets)
	if len(text) <= maxExcerpt {
		return text
	}
	end := maxExcerpt
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// printable is the words of s, with one space between them.
func printable(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}

// tellingLength is how much of a secret tells that it is meant, however it goes
// on: servers quote the start of a token.
const tellingLength = 8

// hide takes secrets out of text, in any case and cut short. One too short to be
// told from other words takes all of text with it.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		hidden := hideOne(text, secret)
		if hidden != text && len(secret) < tellingLength/2 {
			return ""
		}
		text = hidden
	}
	return text
}

func hideOne(text, secret string) string {
	low, secret := lowered(text), lowered(secret)
	start := secret[:min(len(secret), tellingLength)]
	var out strings.Builder
	done := 0
	for {
		i := strings.Index(low[done:], start)
		if i < 0 {
			return out.String() + text[done:]
		}
		out.WriteString(text[done:done+i] + failure.Hidden)
		done += i + len(start)
		for n := len(start); n < len(secret) && done < len(low) && low[done] == secret[n]; n++ {
			done++
		}
	}
}

// lowered is s with its ASCII letters in lower case, and so of the same length.
func lowered(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// secretsIn lists what a request said that no error may show, in the forms in which
// an answer may repeat it. Of a query all that is long may be secret.
func secretsIn(req *http.Request) []string {
	var found []string
	for name, values := range req.Header {
		for _, v := range values {
			if isSecretName(name) {
				found = append(found, credentialsIn(name, v)...)
			}
		}
	}
	for pair := range strings.SplitSeq(req.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if isSecretName(unescaped(name)) || len(value) >= tellingLength {
			found = append(found, value, unescaped(value))
		}
	}
	return inAllForms(found)
}

// secretsIn has the subprotocols, too, that may be credentials.
func (p *subprotocols) secretsIn(req *http.Request) []string {
	hidden := slices.DeleteFunc(protocolNames(req.Header), func(name string) bool { return !p.hides(name) })
	return append(secretsIn(req), inAllForms(hidden)...)
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// credentialsIn takes the value of a secret header apart: a scheme is none, and
// cookies and parameters have names, and among them values that say nothing.
func credentialsIn(name, value string) []string {
	var found []string
	if strings.HasSuffix(strings.ToLower(name), "authorization") {
		if scheme, rest, ok := strings.Cut(value, " "); ok {
			value = strings.TrimSpace(rest)
			if pair, err := base64.StdEncoding.DecodeString(value); err == nil && strings.EqualFold(scheme, "Basic") {
				user, password, _ := strings.Cut(string(pair), ":")
				found = append(found, password)
				if password == "" || len(user) >= tellingLength { // some APIs take the key as the user
					found = append(found, user)
				}
			}
		}
	}
	if !strings.ContainsAny(value, ";,") {
		found = append(found, value)
	}
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(";, ", r) }) {
		name, v, named := strings.Cut(part, "=")
		v = strings.Trim(v, `"=`)
		if named && (len(v) >= tellingLength || isSecretName(name)) {
			found = append(found, v)
		}
	}
	return found
}

// inAllForms adds how secrets look in a URL, in JSON and in HTML, where that
// differs.
func inAllForms(secrets []string) []string {
	var all []string
	for _, s := range secrets {
		quoted, _ := json.Marshal(s)
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), strings.Trim(string(quoted), `"`), html.EscapeString(s)} {
			if form = printable(form); form != "" && !slices.Contains(all, form) {
				all = append(all, form)
			}
		}
	}
	return all
}
