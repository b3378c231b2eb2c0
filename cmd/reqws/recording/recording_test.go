package recording_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/cmd/reqws/recording"
	"github.com/reqws/reqws/reqwstest"
)

const session = `{"reqws_recording":1,"url":"wss://example.com/feed","began":"2026-11-25T10:00:00Z"}
{"t":0.1,"kind":"open","subprotocol":"v1"}
{"t":0.2,"dir":"in","kind":"text","data":"welcome"}
{"t":0.3,"dir":"out","kind":"text","data":"{\"op\":\"subscribe\"}"}
{"t":0.35,"dir":"in","kind":"ping","data":"p"}
{"t":0.4,"dir":"in","kind":"binary","base64":"/wA="}
{"t":0.5,"dir":"in","kind":"close","code":1000,"data":"done"}
`

func TestReadAndWrite(t *testing.T) {
	is := is.New(t)
	rec, err := recording.Read(strings.NewReader(session))
	is.NoErr(err)
	is.Equal(len(rec.Entries), 6)
	is.Equal(rec.Entries[4], recording.Entry{At: 400 * time.Millisecond, Kind: "binary", Direction: "in", Data: []byte{0xff, 0}})
	var b bytes.Buffer
	w, err := recording.NewWriter(&b, "wss://me:pw@example.com/feed?token=x", rec.Began)
	is.NoErr(err)
	for _, e := range rec.Entries {
		is.NoErr(w.Write(e))
	}
	is.Equal(b.String(), session)
}

func TestReadRefuses(t *testing.T) {
	head := strings.SplitAfter(session, "\n")[0]
	for _, c := range []struct{ data, says string }{
		{"", "empty"},
		{"{}\n", "begin"},
		{"nonsense", "begin"},
		{`{"reqws_recording":2}`, "begin"},
		{head + "nonsense", "line 2"},
		{head + `{"t":1,"kind":"smoke","dir":"in"}`, "smoke"},
		{head + `{"t":1,"kind":"text","dir":"up"}`, "up"},
		{head + `{"t":-1,"kind":"text","dir":"in"}`, "negative"},
	} {
		_, err := recording.Read(strings.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.data, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(session))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := recording.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		rec.Scripts() // of whatever there is
		var b bytes.Buffer
		w, err := recording.NewWriter(&b, rec.URL, rec.Began)
		if err != nil {
			t.Skip(err)
		}
		for _, e := range rec.Entries {
			if err := w.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		again, err := recording.Read(&b)
		if err != nil || len(again.Entries) != len(rec.Entries) {
			t.Fatalf("%q was read, and is not when written again: %v", data, err)
		}
	})
}

// exampleTB is what a test would pass its *testing.T for.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                   {}
func (exampleTB) Cleanup(func())            {}
func (exampleTB) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (exampleTB) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (exampleTB) Failed() bool              { return false }
func (exampleTB) Name() string              { return "Example" }

// A session that reqws --record has kept is the server of a test.
func ExampleRecording_Scripts() {
	var t exampleTB // in a test: its t *testing.T
	rec, err := recording.Read(strings.NewReader(session))
	if err != nil {
		t.Fatalf("%v", err)
	}
	srv := reqwstest.New(t, rec.Scripts()[0])
	defer srv.Close()

	err = reqws.New(reqws.URL(srv.URL), reqws.Subprotocols("v1")).Run(context.Background(), reqws.Into(reqws.Each(
		func(f reqws.Frame) reqws.Directive {
			fmt.Println(f)
			if f.Kind == reqws.KindText {
				return reqws.Cont(reqws.Text(`{"op":"subscribe"}`))
			}
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output:
	// text "welcome"
	// ping "p"
	// binary "\xff\x00"
	// close 1000 "done"
	// <nil>
}
