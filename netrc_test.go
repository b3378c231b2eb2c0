package reqws

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
)

func TestParseNetrc(t *testing.T) {
	entry := func(line int, machine, login, password string) netrcEntry {
		return netrcEntry{machine: machine, login: login, password: password, line: line}
	}
	fallback := func(line int, login, password string) netrcEntry {
		return netrcEntry{isDefault: true, login: login, password: password, line: line}
	}
	tests := []struct {
		name string
		text string
		want []netrcEntry
		err  string
	}{
		{name: "empty"},
		{name: "blank", text: " \n\t\r\n"},
		{name: "one line", text: "machine a login b password c", want: []netrcEntry{entry(1, "a", "b", "c")}},
		{name: "many lines", text: "\nmachine\n a\n\tlogin b\r\npassword c\n", want: []netrcEntry{entry(2, "a", "b", "c")}},
		{name: "several", text: "machine a login b\nmachine c password d\ndefault login e password f", want: []netrcEntry{
			entry(1, "a", "b", ""), entry(2, "c", "", "d"), fallback(3, "e", "f")}},
		{name: "any order", text: "machine a password c account z login b", want: []netrcEntry{entry(1, "a", "b", "c")}},
		{name: "last of a kind", text: "machine a login b login c", want: []netrcEntry{entry(1, "a", "c", "")}},
		{name: "keywords as values", text: "machine machine login login password default", want: []netrcEntry{entry(1, "machine", "login", "default")}},
		{name: "comments", text: "# machine x\nmachine a # login x\n  #\nlogin b#c password #d\n#end", want: []netrcEntry{entry(2, "a", "b#c", "#d")}},
		{name: "quotes", text: `machine "a b" login "" password "x \"y\" \\ \n\r\t\z # z"`, want: []netrcEntry{entry(1, "a b", "", "x \"y\" \\ \n\r\tz # z")}},
		{name: "quotes inside a token", text: `machine a password b"c`, want: []netrcEntry{entry(1, "a", "", `b"c`)}},
		{name: "macro", text: "machine a login b\nmacdef init\nmachine x\npassword y\n\npassword c", want: []netrcEntry{entry(1, "a", "b", "c")}},
		{name: "macro with CRLF", text: "macdef init\r\nmachine x\r\n\r\nmachine a\r\n", want: []netrcEntry{entry(4, "a", "", "")}},
		{name: "macro to the end", text: "machine a\nmacdef init\nmachine x", want: []netrcEntry{entry(1, "a", "", "")}},
		{name: "macro without lines", text: "macdef init\n\nmachine a", want: []netrcEntry{entry(3, "a", "", "")}},
		{name: "byte order mark", text: "\ufeffmachine a", want: []netrcEntry{entry(1, "a", "", "")}},

		{name: "keywords in capitals", text: "Machine a LOGIN b Password c\nDefault login D", want: []netrcEntry{entry(1, "a", "b", "c"), fallback(2, "D", "")}},
		{name: "unknown words", text: "machine a protocol https login b\nport 587\npassword c", want: []netrcEntry{entry(1, "a", "b", "c")}},
		{name: "unknown words first", text: "version 1\nmachine a", want: []netrcEntry{entry(2, "a", "", "")}},
		{name: "unknown word with a keyword as its value", text: "machine a protocol login login b", want: []netrcEntry{entry(1, "a", "b", "")}},
		{name: "unknown word with a value in quotes", text: `machine a note "login x password y" login b`, want: []netrcEntry{entry(1, "a", "b", "")}},
		{name: "unknown word without a value", text: "machine a passive\nlogin b passive # login c\npassword d passive\r\n\"\"\n", want: []netrcEntry{entry(1, "a", "b", "d")}},
		{name: "unknown word at the end", text: "machine a\nlogin b canary", want: []netrcEntry{entry(1, "a", "b", "")}},
		{name: "a misspelt machine spoils no other", text: "machine a login b password c\nmachin d login e password f", want: []netrcEntry{entry(1, "a", "b", "c")}},

		{name: "unknown word with an open quote", text: `machine a note "canary`, err: "line 1: a quote is not closed"},
		{name: "UTF-16", text: "\xff\xfem\x00a\x00", err: "it is no text in UTF-8"},
		{name: "login first", text: "\n\nlogin canary", err: "line 3: login stands before the first machine"},
		{name: "value missing", text: "machine a\npassword", err: "line 2: nothing follows password"},
		{name: "machine missing", text: "machine  \n", err: "line 1: nothing follows machine"},
		{name: "macro without a name", text: "macdef", err: "line 1: nothing follows macdef"},
		{name: "open quote", text: "machine a\nlogin \"canary", err: "line 2: a quote is not closed"},
		{name: "quote over lines", text: "machine a login \"can\nary\"", err: "line 1: a quote is not closed"},
		{name: "open escape", text: `machine a login "canary\`, err: "line 1: a quote is not closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			got, err := parseNetrc(tt.text)
			if tt.err == "" {
				is.NoErr(err)
				is.Equal(got, tt.want)
				return
			}
			is.True(err != nil)
			is.True(strings.HasPrefix(err.Error(), tt.err))
			is.True(!strings.Contains(err.Error(), "canary"))
		})
	}
}

func TestNetrcOnTheWire(t *testing.T) {
	const sample = "testdata/netrc/sample"
	tests := []struct {
		url, path string
		want      string
	}{
		{"ws://example.com/", sample, basicValue("jane", "s3cret")},
		{"ws://EXAMPLE.com:8080/", sample, basicValue("jane", "s3cret")},
		{"ws://quoted.example/", sample, basicValue("jane doe", `pass "word" #1`)},
		{"ws://password.example/", sample, basicValue("", "only")},
		{"ws://first.example/", sample, basicValue("first", "1")},
		{"ws://[::1]/", sample, basicValue("six", "6")},
		{"ws://in-a-macro.example/", sample, basicValue("anonymous", "guest")},
		{"ws://sub.example.com/", sample, basicValue("anonymous", "guest")},
		{"ws://none.example/", sample, ""},
		{"ws://other.example/", "testdata/netrc/no-default", ""},
		{"ws://example.com./", sample, basicValue("jane", "s3cret")},
		{"ws://dotted.example/", sample, basicValue("dot", "1")},
		{"ws://[0:0:0:0:0:0:0:1]:81/", sample, basicValue("six", "6")},
		{"ws://[2001:DB8::2]/", sample, basicValue("long", "six")},
		{"ws://bücher.example/", sample, basicValue("leser", "1")},
		{"ws://xn--bcher-kva.example/", sample, basicValue("leser", "1")},
		{"ws://xn--mller-kva.example./", sample, basicValue("müller", "1")},
		{"ws://MÜLLER.example/", sample, basicValue("müller", "1")},

		// Auth stands before userinfo, whose user chooses the entry.
		{"ws://jane:p@example.com/", sample, basicValue("jane", "s3cret")},
		{"ws://second@first.example/", sample, basicValue("second", "2")},
		{"ws://second:p@FIRST.example./", sample, basicValue("second", "2")},
		{"ws://Second@first.example/", sample, ""},
		{"ws://bob@example.com/", sample, ""},
		{"ws://anonymous@example.com/", sample, basicValue("anonymous", "guest")},
		{"ws://bob@password.example/", sample, basicValue("bob", "only")},
		{"ws://bob@none.example/", sample, ""},
		{"ws://:p@example.com/", sample, basicValue("jane", "s3cret")},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			is := is.New(t)
			is.Equal(sent(t, URL(tt.url), Auth(NetrcFile(tt.path))).Header.Get("Authorization"), tt.want)

			t.Setenv("NETRC", tt.path)
			is.Equal(sent(t, URL(tt.url), Auth(Netrc())).Header.Get("Authorization"), tt.want)
		})
	}
}

// Reading a file that hangs, on a network say, does not outlast ctx.
func TestNetrcThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		release := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		find := func() (string, error) { return "/net/netrc", nil }
		hang := func(string) (string, error) { <-release; return "", nil }
		_, err := New(URL("ws://example.com/"), Auth(netrcStep(find, hang)), Logger(nil)).Do(ctx)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(strings.HasPrefix(err.Error(), `reqws: auth: ws://example.com/: netrc file "/net/netrc": `))
		close(release)
	})
}

func TestNetrcOfTheHome(t *testing.T) {
	is := is.New(t)
	home := t.TempDir()
	t.Setenv("NETRC", "")
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	is.NoErr(os.WriteFile(filepath.Join(home, ".netrc"), []byte("default login home password h"), 0o600))
	is.Equal(sent(t, URL("ws://example.com/"), Auth(Netrc())).Header.Get("Authorization"), basicValue("home", "h"))
}

func TestBadNetrc(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name, path, want string
	}{
		{"missing", filepath.Join(dir, "none"), "no such file"},
		{"directory", dir, "it is no regular file"},
		{"malformed", write("malformed", "machine example.com\nlogin canary password"), "line 2: nothing follows password"},
		{"too large", write("large", strings.Repeat("# canary\n", 1<<17)), "it is larger than 1 MiB"},
		{"line break in a password", write("break", `machine example.com login jane password "canary\n"`), "line 1: the credentials have a line break"},
		{"colon in a user", write("colon", `machine example.com login jane:canary`), "line 1: the user of Basic credentials has a colon"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			err := failed(t, URL("ws://example.com/"), Auth(NetrcFile(tt.path)))
			is.True(strings.HasPrefix(err.Error(), fmt.Sprintf("reqws: auth: ws://example.com/: netrc file %q: ", tt.path)))
			is.True(strings.Contains(err.Error(), tt.want))
			is.True(!strings.Contains(err.Error(), "canary"))
			is.Equal(errors.Is(err, fs.ErrNotExist), tt.name == "missing")
		})
	}
	t.Run("no home", func(t *testing.T) {
		t.Setenv("NETRC", "")
		t.Setenv("HOME", "")
		t.Setenv("USERPROFILE", "")
		err := failed(t, URL("ws://example.com/"), Auth(Netrc()))
		is.New(t).True(strings.Contains(err.Error(), "no netrc file: $NETRC is not set"))
	})
}

func FuzzParseNetrc(f *testing.F) {
	for _, name := range []string{"sample", "no-default"} {
		text, err := os.ReadFile("testdata/netrc/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("machine \"a\\\"b\" login\t#x\nmacdef m\nx\n\ndefault")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parseNetrc(text)
		if err != nil {
			if entries != nil {
				t.Error("entries beside an error")
			}
			return
		}
		// What was read says the same when it is written in quotes.
		var b strings.Builder
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
		for _, e := range entries {
			if e.isDefault {
				b.WriteString("default")
			} else {
				fmt.Fprintf(&b, `machine "%s"`, quote.Replace(e.machine))
			}
			fmt.Fprintf(&b, ` login "%s" password "%s"`+"\n", quote.Replace(e.login), quote.Replace(e.password))
		}
		again, err := parseNetrc(b.String())
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q: %v", b.String(), err)
		}
		for i, e := range entries {
			e.line = again[i].line
			if e != again[i] {
				t.Fatalf("%+v is not %+v", again[i], e)
			}
		}
	})
}
