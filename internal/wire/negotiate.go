package wire

import (
	"errors"
	"fmt"
	"strings"
)

const extension = "permessage-deflate"

// DeflateParams is what client and server agreed on, RFC 7692 section 7.1.
type DeflateParams struct {
	ClientNoContextTakeover bool // each message that the client sends stands for itself
	ServerNoContextTakeover bool // likewise the server's
	ClientMaxWindowBits     int  // 8 to 15: the client's compressor looks back at most 1<<this bytes
	ServerMaxWindowBits     int
}

// DeflateOffer is the value of Sec-WebSocket-Extensions in a request that offers permessage-deflate.
// noContextTakeover asks for no window across messages, either way.
func DeflateOffer(noContextTakeover bool) string {
	offer := extension + "; client_max_window_bits"
	if noContextTakeover {
		offer += "; client_no_context_takeover; server_no_context_takeover"
	}
	return offer
}

// ParseDeflateAnswer reads the values of Sec-WebSocket-Extensions in the answer to an offer of
// DeflateOffer. ok is false if the server accepted no extension. Whatever does not answer that offer is
// an error (RFC 6455 section 9.1, RFC 7692 section 7.1), on which the connection must not be used. A client that
// offered to do without context takeover does without it whatever the answer.
func ParseDeflateAnswer(headers []string, noContextTakeoverOffered bool) (p DeflateParams, ok bool, err error) {
	p = DeflateParams{ClientMaxWindowBits: 15, ServerMaxWindowBits: 15}
	list := extensionList{rest: strings.Join(headers, ",")}
	for {
		name, found, err := list.next()
		switch {
		case err != nil:
			return DeflateParams{}, false, fmt.Errorf("malformed Sec-WebSocket-Extensions: %w", err)
		case !found && !ok:
			return DeflateParams{}, false, nil
		case !found:
			p.ClientNoContextTakeover = p.ClientNoContextTakeover || noContextTakeoverOffered
			return p, true, nil
		case name != extension:
			return DeflateParams{}, false, fmt.Errorf("server accepted an extension that was not offered: %s", name)
		case ok:
			return DeflateParams{}, false, errors.New("server accepted " + extension + " twice")
		}
		ok = true
		if err := p.read(&list); err != nil {
			return DeflateParams{}, false, err
		}
	}
}

// read takes the parameters of the extension at hand.
func (p *DeflateParams) read(list *extensionList) error {
	seen := map[string]bool{}
	for {
		name, value, hasValue, found, err := list.param()
		if err != nil {
			return fmt.Errorf("malformed Sec-WebSocket-Extensions: %w", err)
		}
		if !found {
			return nil
		}
		if seen[name] {
			return fmt.Errorf("%s with the parameter %s twice", extension, name)
		}
		seen[name] = true
		if err := p.set(name, value, hasValue); err != nil {
			return err
		}
	}
}

func (p *DeflateParams) set(name, value string, hasValue bool) error {
	switch name {
	case "client_no_context_takeover":
		p.ClientNoContextTakeover = true
	case "server_no_context_takeover":
		p.ServerNoContextTakeover = true
	case "client_max_window_bits":
		return setBits(&p.ClientMaxWindowBits, name, value)
	case "server_max_window_bits":
		return setBits(&p.ServerMaxWindowBits, name, value)
	default:
		return fmt.Errorf("%s with the unknown parameter %s", extension, name)
	}
	if hasValue {
		return fmt.Errorf("%s with a value for %s: %q", extension, name, value)
	}
	return nil
}

func setBits(bits *int, name, value string) error {
	switch value {
	case "8", "9":
		*bits = int(value[0] - '0')
	case "10", "11", "12", "13", "14", "15":
		*bits = 10 + int(value[1]-'0')
	default:
		return fmt.Errorf("%s with a %s that is not 8 to 15: %q", extension, name, value)
	}
	return nil
}

// extensionList walks a list of extensions, RFC 6455 section 9.1.
type extensionList struct{ rest string }

func (l *extensionList) skipSpace() { l.rest = strings.TrimLeft(l.rest, " \t") }

// eat consumes c if that comes next.
func (l *extensionList) eat(c byte) bool {
	l.skipSpace()
	if l.rest == "" || l.rest[0] != c {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

func (l *extensionList) token() (string, error) {
	l.skipSpace()
	n := 0
	for n < len(l.rest) && isTokenChar(l.rest[n]) {
		n++
	}
	if n == 0 {
		return "", fmt.Errorf("no token at %q", l.rest)
	}
	token := l.rest[:n]
	l.rest = l.rest[n:]
	return token, nil
}

func isTokenChar(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, rune(c))
}

// next returns the name of the next extension, whose parameters were all taken. Empty elements of the
// list do not count.
func (l *extensionList) next() (name string, found bool, err error) {
	for l.eat(',') {
	}
	if l.rest == "" {
		return "", false, nil
	}
	name, err = l.token()
	return name, err == nil, err
}

// param returns the next parameter of the extension at hand.
func (l *extensionList) param() (name, value string, hasValue, found bool, err error) {
	if !l.eat(';') {
		if l.skipSpace(); l.rest != "" && l.rest[0] != ',' {
			return "", "", false, false, fmt.Errorf("unexpected %q", l.rest)
		}
		return "", "", false, false, nil
	}
	if name, err = l.token(); err != nil || !l.eat('=') {
		return name, "", false, err == nil, err
	}
	if l.eat('"') {
		value, err = l.quoted()
	} else {
		value, err = l.token()
	}
	return name, value, true, err == nil, err
}

// quoted returns what a quoted string says, its opening quote taken. It must be a token.
func (l *extensionList) quoted() (string, error) {
	var value []byte
	for i := 0; i < len(l.rest); i++ {
		switch {
		case l.rest[i] == '"':
			if l.rest = l.rest[i+1:]; len(value) == 0 {
				return "", errors.New("an empty quoted value")
			}
			return string(value), nil
		case l.rest[i] == '\\' && i+1 < len(l.rest):
			i++
		}
		if !isTokenChar(l.rest[i]) {
			return "", fmt.Errorf("a quoted value that is not a token: %q", l.rest)
		}
		value = append(value, l.rest[i])
	}
	return "", errors.New("a quoted value without its end")
}
