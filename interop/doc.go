// Package interop holds tests that run reqws against programs people have in
// front of, between and behind their WebSockets: proxies, TLS terminators, HTTP/2
// front ends, and the server libraries of other languages. Each test starts what it
// needs on 127.0.0.1, with a configuration of its own.
//
// prepare.sh installs the programs; README.md says what they showed.
package interop
