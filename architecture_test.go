package reqws_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/matryer/is"
)

const module = "github.com/reqws/reqws"

// floors says which packages of this module each one may import: those below it. ARCHITECTURE.md
// draws them.
var floors = map[string][]string{
	".":                 {"internal/alarm", "internal/conn", "internal/dial", "internal/failure", "internal/host", "internal/netconn", "internal/wire"},
	"internal/alarm":    {},
	"internal/conn":     {"internal/netconn", "internal/wire"},
	"internal/dial":     {"internal/failure", "internal/h2", "internal/host", "internal/netconn"},
	"internal/failure":  {},
	"internal/h2":       {},
	"internal/host":     {},
	"internal/netconn":  {},
	"internal/pipe":     {},
	"internal/wire":     {},
	"reqwstest":         {"internal/pipe"},
	"internal/wiretest": {"internal/pipe", "reqwstest"},
	"examples/pingbot":  {".", "reqwstest"},
	"internal/soak":     {".", "reqwstest"},

	"examples/apigateway":  {"."},
	"examples/handlertest": {"."},
}

// forTests are what the tests of any package may import besides.
var forTests = []string{"reqwstest", "internal/pipe", "internal/wiretest"}

// Dependencies point down, and a new package has its place written down first.
func TestNoPackageImportsAHigherOne(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return ownModule(name)
		}
		if strings.HasSuffix(name, ".go") {
			checkImports(t, name)
		}
		return nil
	})
	is.New(t).NoErr(err)
}

// ownModule skips the folders that are modules of their own, or no code.
func ownModule(dir string) error {
	if dir == "." {
		return nil
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	if err == nil || filepath.Base(dir) == "testdata" || strings.HasPrefix(filepath.Base(dir), ".") {
		return filepath.SkipDir
	}
	return nil
}

func checkImports(t *testing.T, name string) {
	dir := filepath.ToSlash(filepath.Dir(name))
	allowed, known := floors[dir]
	if !known {
		t.Errorf("%s: the package %s has no row in floors", name, dir)
		return
	}
	test := strings.HasSuffix(name, "_test.go")
	if test {
		allowed = slices.Concat(allowed, forTests, []string{dir})
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if imported != module && !strings.HasPrefix(imported, module+"/") {
			continue
		}
		if below := path.Join(".", strings.TrimPrefix(imported, module)[min(1, len(imported)-len(module)):]); !slices.Contains(allowed, below) {
			t.Errorf("%s imports %s, which is not below %s", name, below, dir)
		}
	}
}

// Each floor is there, and none is above itself.
func TestFloorsAreThere(t *testing.T) {
	for dir, below := range floors {
		is := is.New(t)
		_, err := os.Stat(filepath.FromSlash(dir))
		is.NoErr(err)
		for _, b := range below {
			is.True(!slices.Contains(floors[b], dir))
		}
	}
}

// ARCHITECTURE.md has a room for each file of the root, and none for what is not there.
func TestEveryFileHasARoom(t *testing.T) {
	is := is.New(t)
	page, err := os.ReadFile("ARCHITECTURE.md")
	is.NoErr(err)
	rooms := strings.FieldsFunc(string(page), func(r rune) bool { return strings.ContainsRune(" `|\n,;()", r) })
	files, err := filepath.Glob("*.go")
	is.NoErr(err)
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") && name != "doc.go" && !slices.Contains(rooms, name) {
			t.Errorf("%s has no room", name)
		}
	}
	for _, name := range rooms {
		if strings.HasSuffix(name, ".go") && !strings.Contains(name, "/") && !slices.Contains(files, name) {
			t.Errorf("%s is not there", name)
		}
	}
}

// examples/README.md has a row for each example.
func TestEveryExampleHasARow(t *testing.T) {
	is := is.New(t)
	page, err := os.ReadFile("examples/README.md")
	is.NoErr(err)
	programs, err := filepath.Glob("examples/*/main.go")
	is.NoErr(err)
	is.True(len(programs) > 0)
	for _, program := range programs {
		name := filepath.Base(filepath.Dir(program))
		if !strings.Contains(string(page), "\n| ["+name+"]("+name+") |") {
			t.Errorf("%s has no row", name)
		}
	}
}
