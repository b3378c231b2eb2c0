// Command reqws is for WebSockets what curl is for HTTP: it connects as the library reqws does,
// prints what comes, and sends what is typed. See README.md, or reqws --help.
package main

import "os"

func main() { os.Exit(run(os.Args[1:])) }
