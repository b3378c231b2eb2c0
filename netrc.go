package reqws

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
	})
}

// NetrcFile returns the step that sends Basic credentials from the netrc file
// at path, which is read anew on each attempt. The first machine entry of the
// URL's host counts, in any case and whatever the port, then a default entry;
// without one no header is sent. Tokens may be in double quotes with \", \\, \n,
// \r and \t in them; where a keyword would stand, # begins a comment; macdef is
// skipped up to the next blank line. A file that is missing, malformed or larger
// than 1 MiB is an error that names it.
func NetrcFile(path string) Step {
	return netrcStep(func() (string, error) { return path, nil })
}

func netrcStep(find func() (string, error)) Step {
	return authorization(func(req *http.Request) (string, error) {
		path, err := find()
		if err != nil {
			return "", err
		}
		text, err := readNetrc(path)
		if err != nil {
			return "", fmt.Errorf("netrc file %q: %w", path, err)
		}
		entries, err := parseNetrc(text)
		if err != nil {
			return "", fmt.Errorf("netrc file %q: %w", path, err)
		}
		e := netrcEntryFor(entries, req.URL.Hostname())
		if e == nil || e.login == "" && e.password == "" {
			return "", nil
		}
		v, err := basic(e.login, e.password)
		if err != nil {
			return "", fmt.Errorf("netrc file %q: line %d: %w", path, e.line, err)
		}
		return v, nil
	})
}

// maxNetrc bounds what is read: $NETRC may name anything, a device included.
const maxNetrc = 1 << 20

func readNetrc(path string) (string, error) {
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

func netrcEntryFor(entries []netrcEntry, host string) *netrcEntry {
	var fallback *netrcEntry
	for i := range entries {
		e := &entries[i]
		if !e.isDefault && strings.EqualFold(e.machine, host) {
			return e
		}
		if e.isDefault && fallback == nil {
			fallback = e
		}
	}
	return fallback
}

// parseNetrc reads a whole netrc file. Its errors name the line and quote
// nothing but keywords.
func parseNetrc(text string) ([]netrcEntry, error) {
	s := netrcScanner{rest: strings.TrimPrefix(text, "\ufeff"), line: 1}
	var entries []netrcEntry
	for {
		keyword, line, err := s.keyword()
		if err != nil {
			return nil, err
		}
		if keyword == "" {
			return entries, nil
		}
		if keyword == "default" {
			entries = append(entries, netrcEntry{isDefault: true, line: line})
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
		switch e := &entries[len(entries)-1]; keyword {
		case "login":
			e.login = value
		case "password":
			e.password = value
		}
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

// keyword returns the next keyword and its line, and nothing at the end.
func (s *netrcScanner) keyword() (string, int, error) {
	s.skipSpace()
	for strings.HasPrefix(s.rest, "#") {
		s.skipLine()
		s.skipSpace()
	}
	if s.rest == "" {
		return "", 0, nil
	}
	line := s.line
	word, err := s.token()
	if err != nil {
		return "", 0, err
	}
	switch word {
	case "machine", "default", "login", "password", "account", "macdef":
		return word, line, nil
	}
	return "", 0, fmt.Errorf("line %d: what stands there is none of machine, default, login, password, account and macdef", line)
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
