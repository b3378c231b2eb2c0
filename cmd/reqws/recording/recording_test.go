package recording_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/cmd/reqws/recording"
	"github.com/reqws/reqws/reqwstest"
)

// What is written is read again.
func TestWriteAndRead(t *testing.T) {
	is := is.New(t)
	var b bytes.Buffer
	w := recording.NewWriter(&b)
	opened := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	want := []recording.Connection{
		{Open: recording.Open{URL: "ws://a/", Subprotocol: "v1", Time: opened}, Frames: []recording.Frame{
			{Frame: reqws.Text("\u2028<é>"), At: time.Millisecond, Dir: recording.Out},
			{Frame: reqws.Binary("\x00\xff"), At: 2 * time.Second, Dir: recording.In},
			{Frame: reqws.Binary("text"), At: 2 * time.Second, Dir: recording.In},
			{Frame: reqws.Ping("\xff"), At: 3 * time.Second, Dir: recording.In},
			{Frame: reqws.Pong("x"), At: 3 * time.Second, Dir: recording.Out},
			{Frame: reqws.Close(1001, "bye"), At: 4 * time.Second, Dir: recording.In},
		}},
		{Open: recording.Open{URL: "ws://a/", Time: opened}},
	}
	for _, c := range want {
		is.NoErr(w.Open(c.Open))
		for _, f := range c.Frames {
			is.NoErr(w.Frame(f.At, f.Dir, f.Frame))
		}
	}
	got, err := recording.Read(&b)
	is.NoErr(err)
	is.Equal(got, want)
}

func TestScriptExpects(t *testing.T) {
	is := is.New(t)
	script, err := recording.Script(strings.NewReader(recorded))
	is.NoErr(err)
	watched := &exampleT{TB: t}
	srv := reqwstest.New(watched, script)
	resp, err := reqws.New(reqws.URL(srv.URL)).Do(t.Context())
	is.NoErr(err)
	is.NoErr(resp.Send(t.Context(), reqws.Ping("not recorded"), reqws.Text("something else")))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = srv.Wait(ctx)
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "something else"))
	_ = resp.CloseNow()
	watched.end()
	is.True(watched.failed)
}

func TestScriptOfSeveral(t *testing.T) {
	is := is.New(t)
	_, err := recording.Script(strings.NewReader(recorded + recorded))
	is.True(err != nil)
	all, err := recording.Scripts(strings.NewReader(recorded + recorded))
	is.NoErr(err)
	is.Equal(len(all), 2)
}
