package interop

import (
	"os/exec"
	"testing"
)

// pythonLibraries are those that python/server.py knows, with the Debian packages that have them.
var pythonLibraries = map[string]string{
	"websockets": "python3-websockets", "aiohttp": "python3-aiohttp", "tornado": "python3-tornado",
}

// startPython starts python/server.py with a library: see there for mode and more.
func startPython(t *testing.T, library, mode string, more ...string) *program {
	t.Helper()
	path := findPython(t, library)
	return start(t, path, func(port string) []string { return pythonArgs(library, port, mode, more...) })
}

// findPython returns the path of a Python that has a library, or fails the test.
func findPython(t *testing.T, library string) string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's own, which has Debian's libraries
	if out, err := exec.Command(python, "-c", "import "+library).CombinedOutput(); err != nil {
		t.Fatalf("%s of python is not installed: it is in the Debian package %s; prepare.sh installs it\n%v %s", library, pythonLibraries[library], err, out)
	}
	return python
}

func pythonArgs(library, port, mode string, more ...string) []string {
	return append([]string{"python/server.py", library, port, mode}, more...)
}

// startPythonAt starts a server at a port that another one had.
func startPythonAt(t *testing.T, port string) *program {
	t.Helper()
	p := launch(t, findPython(t, "websockets"), port, pythonArgs("websockets", port, "quiet"))
	if p == nil {
		t.Fatalf("no server at port %s", port)
	}
	return p
}
