package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// terminal opens a pseudoterminal: what is written to tty is read from screen.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudoterminals here: ", err)
	}
	t.Cleanup(func() { screen.Close() })
	var number uint32
	var unlocked int32
	for request, arg := range map[uintptr]unsafe.Pointer{
		syscall.TIOCGPTN:   unsafe.Pointer(&number),
		syscall.TIOCSPTLCK: unsafe.Pointer(&unlocked),
	} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(arg)); errno != 0 {
			t.Fatal(errno)
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

func TestColours(t *testing.T) {
	for _, c := range []struct {
		name, noColor, term string
		want                string // the line of a message, up to the message
	}{
		{"in a terminal", "", "xterm-256color", "s\x1b[0m  \x1b[36m← text"},
		{"NO_COLOR", "1", "xterm-256color", "s  ← text"},
		{"a dumb terminal", "", "dumb", "s  ← text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			t.Setenv("NO_COLOR", c.noColor)
			t.Setenv("TERM", c.term)
			screen, tty := terminal(t)
			shown := make(chan string)
			go func() {
				all, _ := io.ReadAll(screen) // it ends in EIO once the other side is closed
				shown <- string(all)
			}()
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hi"), reqwstest.ExpectText("you said: hi"),
				reqwstest.SendClose(1001, ""), reqwstest.ExpectClose(1001, "")))
			is.Equal(run(t.Context(), []string{srv.URL}, tty, tty, reqws.DialContext(srv.DialContext)), exitFailed)
			is.NoErr(tty.Close())
			got := <-shown
			is.True(strings.Contains(got, c.want+` "hi"`))
			is.Equal(strings.Contains(got, "\x1b[31mpingbot:"), c.noColor == "" && c.term != "dumb")
			if c.noColor != "" || c.term == "dumb" {
				is.True(!strings.Contains(got, "\x1b"))
			}
		})
	}
}
