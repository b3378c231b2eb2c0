//go:build unix

package reqws

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"
)

// Only a regular file is read, also at the end of a link: what else there is may
// wait for a writer, or have no end.
func TestNetrcThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	is := is.New(t)
	pipe, link, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	is.NoErr(syscall.Mkfifo(pipe, 0o600))
	is.NoErr(os.Symlink(pipe, link))
	for _, path := range []string{pipe, link, dir, os.DevNull, "/dev/zero"} {
		err := failed(t, URL("ws://example.com/"), Auth(NetrcFile(path)))
		if !strings.HasSuffix(err.Error(), "it is no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	is.NoErr(os.WriteFile(file, []byte("default login a password b"), 0o600))
	is.NoErr(os.Remove(link))
	is.NoErr(os.Symlink(file, link))
	is.Equal(sent(t, URL("ws://example.com/"), Auth(NetrcFile(link))).Header.Get("Authorization"), basicValue("a", "b"))
}
