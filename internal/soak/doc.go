// Command soak runs a thousand streams at once against a server that misbehaves, and accounts for
// every message of both sides.
//
//	go run ./internal/soak                            # ten seconds
//	go run -race ./internal/soak -seconds 60 -streams 200 -seed 1
//	go run ./internal/soak -seed 1 -stream 17         # one stream, over and over
//
// What a stream goes through is drawn from the seed and its number (plan.go): over ws, wss or
// HTTP/2; read by Run, Do, Receive, Frames or a mailbox, some slowly, some with ReadAhead; compressed or not; with
// Reconnect over several connections, with a Heartbeat. The server refuses, answers in pieces,
// drips, pauses, does not read, and ends each connection with a close frame of any code or none, a
// FIN between frames or inside of one, a reset, or by falling silent. The client sends from
// several goroutines, gives Sends up, and leaves from inside, from other goroutines, or in several ways
// at once.
//
// Four in five streams are brief: they come and go by the thousand and do little, so that descriptors are
// used again at once.
//
// When a stream is over on both sides, it is checked (check.go) that
//
//   - each message that the server wrote whole came, once, undamaged, in order; of a connection that it
//     reset, where all had reached the client's system;
//   - no message of the client's arrived twice, damaged, or behind a later one, also where Sends waited
//     in line, over one connection or several;
//   - each whose Send returned nil arrived, if its connection ended cleanly: the client's close frame
//     arrived, or the client was told of a clean end;
//   - none arrived whose Send was given up with the error of its ctx;
//   - what OnOpen answers came first on each connection of a stream that reconnects;
//   - close frames have the codes that they should, and the stream ended with what ended it;
//   - it ended at all: within 10 s, or on a busy machine twice what others took.
//
// When no stream is open, after a warm-up and at the end, no goroutine and no descriptor is left, and the
// heap in between has not grown (remains.go).
//
// The output is a table of what was seen, on standard output. What is wrong goes to standard error,
// each finding with the command that runs its stream again, and the exit code is 1 then. The plan
// comes back with the seed, the timing does not: run it for as long as it takes.
package main
