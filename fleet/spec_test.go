package fleet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
)

func TestParseSpec(t *testing.T) {
	for _, c := range []struct {
		name, id, data, err string
	}{
		{"least", "a", `{"url":"wss://example.com"}`, ""},
		{"all", "exchange.btc-usd/1=x_Y", `{"url":"ws://h/:room","path_params":{"room":7},"params":{"a":true,"n":12345678901234567890},
			"headers":{"X-Key":"${secret:key}"},"subprotocols":["v1"],"on_open":["{}"],"compression":true,
			"limits":{"max_message_size":10,"heartbeat":"0s","heartbeat_timeout":"1m30s","connect_timeout":"5s"}}`, ""},
		{"no JSON", "a", `{`, "does not parse"},
		{"no object", "a", `[]`, "does not parse"},
		{"nothing", "a", ``, "does not parse"},
		{"two objects", "a", `{"url":"ws://h"} {}`, "something follows"},
		{"a misspelt field", "a", `{"urll":"ws://h"}`, "urll"},
		{"a misspelt limit", "a", `{"url":"ws://h","limits":{"max":1}}`, "max"},
		{"no URL", "a", `{}`, "scheme"},
		{"http", "a", `{"url":"http://h"}`, `"http"`},
		{"no host", "a", `{"url":"ws:///x"}`, "no host"},
		{"a URL that is none", "a", `{"url":"ws://h:x"}`, "does not parse"},
		{"userinfo", "a", `{"url":"ws://u:p@h"}`, "userinfo"},
		{"a fragment", "a", `{"url":"ws://h/#x"}`, "fragment"},
		{"a secret in the URL", "a", `{"url":"ws://h/${secret:x}"}`, ""},
		{"a reference without an end", "a", `{"url":"ws://h","params":{"k":"${secret:x"}}`, "no end"},
		{"a reference without a name", "a", `{"url":"ws://h","headers":{"k":"${secret:}"}}`, "no name"},
		{"a list for a value", "a", `{"url":"ws://h","params":{"k":[1]}}`, "params: k"},
		{"a duration that is none", "a", `{"url":"ws://h","limits":{"heartbeat":"20"}}`, "does not parse"},
		{"a negative duration", "a", `{"url":"ws://h","limits":{"heartbeat":"-1s"}}`, "negative"},
		{"a negative size", "a", `{"url":"ws://h","limits":{"max_message_size":-1}}`, "negative"},
		{"no ID", "", `{"url":"ws://h"}`, "ID"},
		{"an ID with two dots", "a..b", `{"url":"ws://h"}`, "ID"},
		{"an ID with a wildcard", "a.*", `{"url":"ws://h"}`, "ID"},
		{"an ID with a blank", "a b", `{"url":"ws://h"}`, "ID"},
		{"an ID that ends in a dot", "a.", `{"url":"ws://h"}`, "ID"},
		{"a long ID", strings.Repeat("a", 201), `{"url":"ws://h"}`, "longer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			s, err := parseSpec(c.id, []byte(c.data))
			if c.name == "a secret in the URL" {
				is.True(err != nil) // whatever says so: a brace has no place in a URL
				return
			}
			if c.err != "" {
				is.True(err != nil)
				is.True(strings.Contains(err.Error(), c.err)) // says what is wrong
				return
			}
			is.NoErr(err)
			again, err := json.Marshal(s)
			is.NoErr(err)
			same, err := parseSpec(c.id, again)
			is.NoErr(err)
			is.Equal(same, s)
		})
	}
}

// A large number leaves as it was written, and no spec can be confused by its own defaults.
func TestSpecValues(t *testing.T) {
	is := is.New(t)
	s, err := parseSpec("a", []byte(`{"url":"WS://Example.COM:80/","params":{"n":12345678901234567890},"limits":{"connect_timeout":"5s"}}`))
	is.NoErr(err)
	is.Equal(s.Params["n"], json.Number("12345678901234567890"))
	is.Equal(time.Duration(s.Limits.ConnectTimeout), 5*time.Second)
	is.Equal(s.host(), "example.com")
}

func FuzzParseSpec(f *testing.F) {
	f.Add("a", []byte(`{"url":"wss://h/:x","path_params":{"x":"${secret:y}"}}`))
	f.Add("a.b", []byte(`{"url":"ws://h","limits":{"heartbeat":"1s"}}`))
	f.Fuzz(func(t *testing.T, id string, data []byte) {
		s, err := parseSpec(id, data)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseSpec(id, again); err != nil {
			t.Fatalf("%s was read, and is not when written again: %v", data, err)
		}
	})
}

func TestReferences(t *testing.T) {
	for _, c := range []struct{ in, out, err string }{
		{"plain", "plain", ""},
		{"${secret:a}", "<a>", ""},
		{"Bearer ${secret:a}", "Bearer <a>", ""},
		{"${secret:a}:${secret:b}!", "<a>:<b>!", ""},
		{"${other:a}", "${other:a}", ""},
		{"${secret:a", "", "no end"},
		{"${secret:}", "", "no name"},
	} {
		is := is.New(t)
		out, err := replace(c.in, func(name string) (string, error) { return "<" + name + ">", nil })
		if c.err != "" {
			is.True(err != nil && strings.Contains(err.Error(), c.err))
			continue
		}
		is.NoErr(err)
		is.Equal(out, c.out)
	}
}
