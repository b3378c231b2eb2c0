package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/cmd/reqws/recording"
	"github.com/reqws/reqws/reqwstest"
)

// What was recorded is a server's script, and a server for others.
func TestRecordAndReplay(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "session.jsonl")
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithSubprotocol("v1")), reqwstest.SendText("welcome"), reqwstest.ExpectText("hello"),
		reqwstest.SendBinary("\xff\x00"), reqwstest.SendText("bye"), reqwstest.SendClose(1000, "done"), reqwstest.ExpectClose(1000, "")))
	r := runs(t, "hello\n", "--wait", "-1s", "-s", "v1", "--record", path, srv.URL+"/x?token=hush")
	is.Equal(r.code, 0)

	data, err := os.ReadFile(path)
	is.NoErr(err)
	is.True(!strings.Contains(string(data), "hush"))
	rec, err := recording.Read(strings.NewReader(string(data)))
	is.NoErr(err)
	is.Equal(rec.URL, srv.URL+"/x")
	var scripts []reqwstest.Option
	for _, s := range rec.Scripts() {
		scripts = append(scripts, s)
	}
	again := reqwstest.New(t, scripts...)
	is.Equal(runs(t, "hello\n", "--wait", "-1s", "-s", "v1", again.URL), r) // the same to the byte

	for _, args := range [][]string{{"--replay", path}, {"--replay", path, "--replay-fast"}} {
		server := program(t, args...)
		out, err := server.StdoutPipe()
		is.NoErr(err)
		is.NoErr(server.Start())
		url := strings.TrimSpace(awaits(t, out, "\n"))
		is.Equal(runs(t, "", "--no-stdin", "-s", "v1", url), result{r.out, "", 0})
		is.NoErr(server.Process.Signal(os.Interrupt))
		is.NoErr(server.Wait())
	}
}

// The recording that the README plays.
func TestTicker(t *testing.T) {
	is := is.New(t)
	server := program(t, "--replay", "testdata/ticker.jsonl", "--replay-fast")
	out, err := server.StdoutPipe()
	is.NoErr(err)
	is.NoErr(server.Start())
	url := strings.TrimSpace(awaits(t, out, "\n"))
	r := runs(t, "", "--no-stdin", "--on-open", "whatever", "-c", "--hex", "-s", "ticker.v1", url)
	is.Equal(r.code, exitLost) // 1001
	is.Equal(strings.Count(r.out, "\n"), 4)
	is.True(strings.HasSuffix(r.out, "000102ff\n"))
	is.NoErr(server.Process.Signal(os.Interrupt))
	is.NoErr(server.Wait())
}
