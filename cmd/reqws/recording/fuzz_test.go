package recording_test

import (
	"bytes"
	"testing"

	"github.com/reqws/reqws/cmd/reqws/recording"
)

// Whatever is in the file: it is refused, or read, made a script of, and the same when it is written again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"open":1,"url":"ws://a/","subprotocol":"v1","time":"2026-01-02T15:04:05Z"}
{"t":0.01,"dir":"in","kind":"text","text":"a"}
{"t":0.02,"dir":"out","kind":"binary","base64":"AAEC"}
{"t":0.03,"dir":"in","kind":"ping","text":"p"}
{"t":2.5,"dir":"in","kind":"close","code":1000,"text":"bye"}
`))
	f.Add([]byte(`{"open":1}` + "\n" + `{"open":1}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = recording.Script(bytes.NewReader(data))
		all, err := recording.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		w := recording.NewWriter(&b)
		for _, c := range all {
			if err := w.Open(c.Open); err != nil {
				t.Skip(err) // a time that JSON cannot have
			}
			for _, f := range c.Frames {
				if err := w.Frame(f.At, f.Dir, f.Frame); err != nil {
					t.Fatal(err)
				}
			}
		}
		again, err := recording.Read(&b)
		if err != nil || len(again) != len(all) {
			t.Fatalf("%q was read, and is not when it is written again: %v", data, err)
		}
	})
}
