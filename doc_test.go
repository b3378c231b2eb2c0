package reqws

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// The package page lists every option in its group.
func TestPackagePageListsOptions(t *testing.T) {
	is := is.New(t)
	page, err := os.ReadFile("doc.go")
	is.NoErr(err)
	files, err := filepath.Glob("*.go")
	is.NoErr(err)
	makesOption := regexp.MustCompile(`(?m)^func ([A-Z]\w*)\(.*\) Option \{`)
	options := 0
	for _, name := range files {
		source, err := os.ReadFile(name)
		is.NoErr(err)
		for _, f := range makesOption.FindAllStringSubmatch(string(source), -1) {
			options++
			if !strings.Contains(string(page), "["+f[1]+"]") {
				t.Errorf("%s is in no group", f[1])
			}
		}
	}
	is.True(options > 40)
}
