package recording_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/cmd/reqws/recording"
	"github.com/reqws/reqws/reqwstest"
)

// recorded is what reqws --record has written; most tests read it from a file in testdata.
const recorded = `{"open":1,"url":"wss://example.com/feed","time":"2026-01-02T15:04:05Z"}
{"t":0.001,"dir":"out","kind":"text","text":"subscribe"}
{"t":0.040,"dir":"in","kind":"text","text":"price 17"}
{"t":0.900,"dir":"in","kind":"text","text":"price 18"}
{"t":1.200,"dir":"in","kind":"close","code":1000,"text":""}
`

// In a test the *testing.T of the test takes the place of t.
func ExampleScript() {
	var t exampleT
	defer t.end()
	script, err := recording.Script(strings.NewReader(recorded))
	if err != nil {
		t.Fatalf("%v", err)
	}
	srv := reqwstest.New(&t, script)

	err = reqws.New(reqws.URL(srv.URL)).Run(context.Background(),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive { return reqws.Cont(reqws.Text("subscribe")) }),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindText {
				fmt.Println(f.Text())
			}
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output:
	// price 17
	// price 18
	// <nil>
}

// exampleT stands for a *testing.T, which examples have not.
type exampleT struct {
	testing.TB
	cleanups []func()
	failed   bool
}

func (t *exampleT) Helper()                   {}
func (t *exampleT) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Errorf(f string, a ...any) { t.failed = true; fmt.Printf(f+"\n", a...) }
func (t *exampleT) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (t *exampleT) Failed() bool              { return t.failed }

func (t *exampleT) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
