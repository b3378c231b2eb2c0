package reqws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/reqws/reqws/internal/host"
)

// Netrc returns the step that sends Basic credentials from the user's netrc
// file: the one that $NETRC names, else .netrc in the home directory. See
// [NetrcFile].
func Netrc() Step {
	return netrcStep(func() (string, error) {
		if path := os.Getenv("NETRC"); path != "" {
			return path, nil
		}
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no netrc file: $NETRC is not set, and %w", err)
		}
		return filepath.Join(home, ".netrc"), nil
	}, readNetrc)
}

// NetrcFile returns the step that sends Basic credentials from the netrc file
// at path, which is read anew on each attempt. The first machine entry of the
// URL's host counts, whatever its case and the port, in Unicode or ASCII, an IPv6
// address in any form, a dot at the end or none; then a default entry; without one no
// header is sent. Where the URL names a user, only entries with that login count, and
// those that have a password for any.
//
// Tokens may be in double quotes with \", \\, \n, \r and \t in them; where a keyword
// would stand, # begins a comment; macdef is skipped up to the next blank line, and an
// unknown word together with a value that follows on its line. A file that is missing,
// no regular file, malformed or larger than 1 MiB is an error that names it. When the
// context ends the attempt does not wait for the file any longer.
func NetrcFile(path string) Step {
	return netrcStep(func() (string, error) { return path, nil }, readNetrc)
}

func netrcStep(find func() (string, error), read func(path string) (string, error)) Step {
	return authorization(func(req *http.Request) (string, error) {
		path, err := find()
		if err != nil {
			return "", err
		}
		// A file on a network that is gone can take for ever.
		text, err := await(req.Context(), func(context.Context) (string, error) { return read(path) })
		if err != nil {
			return "", fmt.Errorf("netrc file %q: %w", path, err)
		}
		entries, err := parseNetrc(text)
		if err != nil {
			return "", fmt.Errorf("netrc file %q: %w", path, err)
		}
		user := hopOf(req.Context()).user.Username()
		e := netrcEntryFor(entries, req.URL.Hostname(), user)
		if e == nil || e.login == "" && e.password == "" {
			return "", nil
		}
		v, err := basic(cmp.Or(e.login, user), e.password)
		if err != nil {
			return "", fmt.Errorf("netrc file %q: line %d: %w", path, e.line, err)
		}
		return v, nil
	})
}

// maxNetrc bounds what is read: $NETRC may name anything.
const maxNetrc = 1 << 20

func readNetrc(path string) (string, error) {
	// Before it is opened: that alone waits for ever on a named pipe.
	if info, err := os.Stat(path); err != nil {
		return "", pathless(err)
	} else if !info.Mode().IsRegular() {
		return "", errors.New("it is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", pathless(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxNetrc+1))
	if err != nil {
		return "", pathless(err)
	}
	if len(data) > maxNetrc {
		return "", errors.New("it is larger than 1 MiB")
	}
	return string(data), nil
}

// pathless takes the path off an error, which is written around it.
func pathless(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

type netrcEntry struct {
	machine         string
	isDefault       bool
	login, password string
	line            int
}

// netrcEntryFor returns the entry for a host and the user that the URL names, if
// it names one.
func netrcEntryFor(entries []netrcEntry, host, user string) *netrcEntry {
	host = netrcHost(host)
	var fallback *netrcEntry
	for i := range entries {
		switch e := &entries[i]; {
		case !e.fits(user):
		case !e.isDefault && netrcHost(e.machine) == host:
			return e
		case e.isDefault && fallback == nil:
			fallback = e
		}
	}
	return fallback
}

// fits reports whether the entry may be used for user: one without a login has its
// password for any.
func (e *netrcEntry) fits(user string) bool {
	return user == "" || e.login == user || e.login == "" && e.password != ""
}

// netrcHost writes a host in the one form in which two of them are compared.
func netrcHost(name string) string {
	name = strings.TrimSuffix(name, ".")
	if ip, err := netip.ParseAddr(host.Unbracketed(name)); err == nil {
		return ip.String()
	}
	if ascii, err := host.ASCII(name); err == nil {
		name = ascii
	}
	return strings.ToLower(name)
}

// parseNetrc reads a whole netrc file. Its errors name the line and quote
// nothing but keywords.
func parseNetrc(text string) ([]netrcEntry, error) {
	if strings.Contains(text, "\x00") {
		return nil, errors.New("it is no text in UTF-8") // but in UTF-16, most often
	}
	s := netrcScanner{rest: strings.TrimPrefix(text, "\ufeff"), line: 1}
	var entries []netrcEntry
	for s.more() {
		line := s.line
		word, err := s.token()
		if err != nil {
			return nil, err
		}
		keyword := strings.ToLower(word)
		switch keyword {
		case "default":
			entries = append(entries, netrcEntry{isDefault: true, line: line})
			continue
		case "machine", "login", "password", "account", "macdef":
		default:
			if err := s.skipValue(); err != nil {
				return nil, err
			}
			continue
		}
		value, err := s.value(keyword, line)
		if err != nil {
			return nil, err
		}
		switch keyword {
		case "machine":
			entries = append(entries, netrcEntry{machine: value, line: line})
			continue
		case "macdef":
			s.skipMacro()
			continue
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("line %d: %s stands before the first machine", line, keyword)
		}
		entries[len(entries)-1].set(keyword, value)
	}
	return entries, nil
}

// set takes in a value. What an entry has when it is complete stays, as with curl:
// what follows may belong to another machine whose keyword is misspelt.
func (e *netrcEntry) set(keyword, value string) {
	switch {
	case e.login != "" && e.password != "":
	case keyword == "login":
		e.login = value
	case keyword == "password":
		e.password = value
	}
}

// netrcScanner reads a netrc file token by token.
type netrcScanner struct {
	rest string
	line int
}

// skip goes n bytes on.
func (s *netrcScanner) skip(n int) {
	s.line += strings.Count(s.rest[:n], "\n")
	s.rest = s.rest[n:]
}

func (s *netrcScanner) skipSpace() {
	s.skip(len(s.rest) - len(strings.TrimLeft(s.rest, " \t\r\n")))
}

func (s *netrcScanner) skipLine() {
	if end := strings.IndexByte(s.rest, '\n'); end >= 0 {
		s.skip(end + 1)
	} else {
		s.skip(len(s.rest))
	}
}

// skipMacro goes behind the blank line that ends a macro, or to the end.
func (s *netrcScanner) skipMacro() {
	s.skipLine()
	for s.rest != "" {
		line, _, _ := strings.Cut(s.rest, "\n")
		s.skipLine()
		if strings.TrimSpace(line) == "" {
			return
		}
	}
}

// more goes to where the next keyword is to stand, and reports whether there is
// anything.
func (s *netrcScanner) more() bool {
	s.skipSpace()
	for strings.HasPrefix(s.rest, "#") {
		s.skipLine()
		s.skipSpace()
	}
	return s.rest != ""
}

// skipValue goes behind the value of an unknown word, if there is one on its line.
func (s *netrcScanner) skipValue() error {
	s.rest = strings.TrimLeft(s.rest, " \t\r")
	if s.rest == "" || s.rest[0] == '\n' || s.rest[0] == '#' {
		return nil
	}
	_, err := s.token()
	return err
}

func (s *netrcScanner) value(keyword string, line int) (string, error) {
	s.skipSpace()
	if s.rest == "" {
		return "", fmt.Errorf("line %d: nothing follows %s", line, keyword)
	}
	return s.token()
}

// token returns the next token, which there must be.
func (s *netrcScanner) token() (string, error) {
	if s.rest[0] == '"' {
		return s.quoted()
	}
	end := strings.IndexAny(s.rest, " \t\r\n")
	if end < 0 {
		end = len(s.rest)
	}
	token := s.rest[:end]
	s.skip(end)
	return token, nil
}

// quoted returns a token in double quotes. It must end on its line.
func (s *netrcScanner) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.skip(i + 1)
			return b.String(), nil
		case '\n':
			return "", fmt.Errorf("line %d: a quote is not closed", s.line)
		case '\\':
			if i++; i == len(s.rest) || s.rest[i] == '\n' {
				return "", fmt.Errorf("line %d: a quote is not closed", s.line)
			}
			b.WriteByte(unescapeNetrc(s.rest[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("line %d: a quote is not closed", s.line)
}

func unescapeNetrc(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
