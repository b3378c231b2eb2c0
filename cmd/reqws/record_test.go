package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/cmd/reqws/recording"
	"github.com/reqws/reqws/reqwstest"
)

// replayServer starts reqws --replay, and returns its URL.
func replayServer(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = environment()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	t.Cleanup(func() {
		if cmd.Process.Signal(syscall.SIGTERM) != nil { // as on Windows
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("reqws --replay: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// What was recorded is what a replay says, and what a script of it expects.
func TestRecordAndReplay(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithSubprotocol("v1")),
		reqwstest.ExpectText("sub\"scribe"), reqwstest.SendText("<text>"), reqwstest.SendBinary("\x00\xff"), reqwstest.SendPing("p"),
		reqwstest.ExpectPong("p"), reqwstest.SendText("last"), reqwstest.SendClose(4000, "why"), reqwstest.ExpectClose(4000, ""),
	))
	file := filepath.Join(t.TempDir(), "recording")
	first := tool(t, args("-s", "v1", "--on-open", "sub\"scribe", "--bearer", "hunter2", "--hex", "--record", file, srv.URL+"/feed?token=hunter2"))
	is.Equal(first.out, "<text>\n00ff\nlast\n")
	is.Equal(first.code, exitBroken) // 4000

	text, err := os.ReadFile(file)
	is.NoErr(err)
	is.True(!strings.Contains(string(text), "hunter2"))
	all, err := recording.Read(strings.NewReader(string(text)))
	is.NoErr(err)
	is.Equal(all[0].Open.URL, srv.URL+"/feed")
	is.Equal(all[0].Open.Subprotocol, "v1")
	var said []string
	for _, f := range all[0].Frames {
		said = append(said, string(f.Dir)+" "+f.String())
	}
	is.Equal(strings.Join(said, "; "), `out text "sub\"scribe"; in text "<text>"; in binary "\x00\xff"; in ping "p"; in text "last"; in close 4000 "why"; out close 4000`)

	for _, fast := range []string{"--replay-fast", "--replay-fast=false"} { // at its times, which were short
		url := replayServer(t, "--replay", file, fast, "--listen", "127.0.0.1:0")
		for range 2 { // each connection is served
			again := tool(t, args("-s", "v1", "--hex", url))
			is.Equal(again.out, first.out)
			is.Equal(again.code, first.code)
		}
	}

	script, err := recording.Script(strings.NewReader(string(text)))
	is.NoErr(err)
	played := reqwstest.New(t, script)
	again := tool(t, args("-s", "v1", "--on-open", "sub\"scribe", "--hex", played.URL))
	is.Equal(again.out, first.out)
	is.Equal(again.code, first.code)
}

// A recording of this side's close has the server's answer to it, which nobody was shown.
func TestRecordOwnClose(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, echo())
	file := filepath.Join(t.TempDir(), "recording")
	is.Equal(tool(t, args("-1", "--on-open", "x", "--record", file, srv.URL)).code, 0)
	f, err := os.Open(file)
	is.NoErr(err)
	defer f.Close()
	script, err := recording.Script(f)
	is.NoErr(err)
	played := reqwstest.New(t, script)
	is.Equal(tool(t, args("-1", "--on-open", "x", played.URL)).out, "x\n")
}

func TestReplayRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "empty",
		"no json\n":                    "line 1",
		`{"t":1,"dir":"in"}` + "\n":    "line 1",
		`{"open":2}` + "\n":            "version 2",
		`{"open":1}` + "\n{\"dir\":\"": "line 2",
	} {
		is := is.New(t)
		got := tool(t, args("--replay", write(t, "recording", text)))
		is.Equal(got.code, exitOther)
		is.True(strings.Contains(got.err, want))
	}
}

// The recording that the README of the project plays.
func TestTicker(t *testing.T) {
	is := is.New(t)
	url := replayServer(t, "--replay", "testdata/ticker.jsonl", "--replay-fast", "--listen", "127.0.0.1:0")
	r := tool(t, args("-c", "-s", "ticker.v1", url))
	is.Equal(strings.Count(r.out, "\n"), 3)
	is.True(strings.Contains(r.err, "maintenance"))
	is.Equal(r.code, exitBroken) // 1001
}
