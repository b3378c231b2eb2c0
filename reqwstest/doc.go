// Package reqwstest is a WebSocket and HTTP server for tests that plays a script:
// exact answers, frames and bytes on the one side, expectations on the other. It
// speaks raw frames with a reader and writer of its own, can misbehave in every
// way a client must survive, and checks every byte that the client sends.
//
//	srv := reqwstest.New(t, reqwstest.Script(
//		reqwstest.Accept(),
//		reqwstest.SendText("hello"),
//		reqwstest.ExpectText("hello yourself"),
//		reqwstest.SendClose(1000, ""),
//		reqwstest.ExpectClose(1000, ""),
//	))
//	// ... run the client against srv.URL
//
// Most tests need ten names:
//
//   - [NewMemory] or [New] makes the server, of a [Script] for each connection,
//   - which begins with [Accept] or [Refuse],
//   - goes on with [SendText] and [ExpectText],
//   - and ends with [SendClose] and [ExpectClose], or is an [EchoUntilClose] where what
//     is said does not matter.
//
// [Await] lets the test decide when the script goes on, [Do] runs code of the test's
// own, and [NoLeaks] sees that the client has left no goroutine. After the test
// [Server.Requests] and [Server.Conns] tell what came.
//
// Each Script is one connection, in the order in which they come. The test fails,
// by itself and at its end at the latest, if an expectation was not met, if a
// script was not played to its end, or if a connection came that no script awaits.
// The report names the connection, the step and its place in the test, what was
// expected and what came.
//
// # Reached how
//
// New listens on loopback, NewTLS with a certificate that Server.TLSConfig
// trusts. NewMemory listens nowhere: clients use Server.DialContext, and since
// nothing in it waits for the operating system, it works in testing/synctest
// bubbles, where Sleep, ExpectNothing and the times of requests are virtual and
// exact. NewMemory and the option TLS go together.
//
// # What is checked without being asked
//
// The opening handshake: method, version, Host, Connection, Upgrade, version 13,
// a key of 16 bytes that no other connection used. Of every frame: that it is
// masked, with a key that is not zero, not the one before, and not counted up;
// known opcode, reserved bits only for an accepted extension, the shortest form of
// the length, whole and short control frames, fragments in order, UTF-8 text,
// legal close codes, nothing after a close frame. A breach fails the script.
package reqwstest
