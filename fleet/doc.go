// Package fleet keeps many WebSockets open from many machines, on NATS JetStream: exchanges, chat networks and
// devices ask for thousands of connections, one process does not hold them, and a machine that is lost must not lose
// them.
//
// A stream is a [Spec], an entry in a bucket: its URL, parameters, headers, what to send on open. Put one, and a
// worker opens it; change it, and it is opened anew; remove it, and it is closed. Workers are processes that call
// [Fleet.Run]:
//
//	nc, err := fleet.Connect(url)
//	...
//	f, err := fleet.Open(ctx, nc, fleet.Config{Name: "feeds"})
//	...
//	err = f.Run(ctx, fleet.WorkerConfig{Name: "worker-1", Capacity: 5000}, time.Minute)
//
// What the streams receive is published to PREFIX.in.ID, and what is published to PREFIX.out.ID is sent; PREFIX is the
// fleet's name. Any NATS client reads and writes there: [Fleet.ParseIn] and [Fleet.Send] do it in Go.
//
// # Who has a stream
//
// Each stream has one worker. A worker holds a lease, an entry in a bucket that it renews and that goes when
// it does not; it claims the streams that weighted rendezvous hashing places with it, up to its capacity. One that is
// not heard of for the time of the lease is dead: the others make sure of that with a write that ends the lease for
// good, and claim what it had. One that joins is given its share, once; one that leaves hands its streams over
// one by one. A stream that needs not move does not.
//
// The revision of a claim is the stream's fence. JetStream holds each publish to it, so that a worker that was
// stopped for longer than its lease, and goes on as if nothing had been, gets nothing in. A worker that cannot reach
// NATS stops its streams by itself after four fifths of its lease, before others can have them. Up to then they stay up:
// what comes in waits, up to a bound, and then in the sockets.
//
// # In
//
// Messages keep their order, and carry their kind, the fence, the number of the connection and a sequence as headers
// (see the constants). One that was lost with a connection to NATS, or with a server of a cluster, may come late: the sequence
// has its right place. Nats-Msg-Id makes a repeated publish harmless. What a server sent is published once, but for what is in
// the hands of a worker that dies, or is cut off from NATS until its lease is over.
//
// # Out
//
// Messages out wait in a queue until the stream is up, up to [Config.OutMaxAge], and are sent in order, once. One
// that was being written when the connection broke may have arrived, and is not sent again: the status counts it as
// Unsure. One that was sent by a worker that died before JetStream had the acknowledgement is sent again.
//
// # Bounds
//
//	what                         bounded by                      what happens then
//	messages that JetStream      MaxPending, MaxPendingBytes     handlers wait, sockets fill, servers wait
//	has not acknowledged         of a worker
//	a message                    max_payload of NATS, less 1 KiB the connection is closed with 1009, and opened anew
//	connections opened to a host SetLimit, over the whole fleet  they wait for their turn
//	handshakes under way         MaxOpening of a worker          they wait
//	streams                      Capacity of a worker            they wait for one with room: state "waiting"
//	NATS away                    four fifths of Lease            streams are stopped, and opened when it is back
//
// # Watching
//
// [Fleet.Status] reads the state of all streams and workers out of the buckets. For spans and metrics give
// otelreqws.Instrument() to [WorkerConfig] Options. The Logger of a worker tells what concerns all of it.
package fleet
