package conn

// A goroutine that waits for a socket costs more than all the rest of an idle connection: at
// least 2.5 KB, and more once its stack has grown. So connections wait without one, in a poller
// of the process: where the system has epoll, sockets are put into a set of ours, and a
// goroutine is started for one when there is something to read.
//
// A Waiter, and the connection that it stands for, has one owner at each time: a goroutine of the
// caller's, or the poller.
//
//   - Park gives it to the poller. After Park has returned true, the goroutine touches it no more:
//     Wake may be running already.
//   - The socket stays in the set, which tells once of each thing that comes. What it tells while nobody
//     is parked is kept for the next Park, which reports that there is something to read instead. So who parks
//     has read all that there was when it was last told.
//   - Whoever takes it out of the poller, with the poller's lock held, has a goroutine run Wake.
//     It is taken out once, so there is one goroutine.
//   - A parked Waiter is known by a ticket that is never used again, not by the number of its
//     descriptor, which the system hands out again as soon as one is closed. An event whose ticket
//     is no longer parked is for nobody.
//   - Who closes the socket calls Interrupt behind that: a parked Waiter is woken, and one that is
//     not is never parked again. So none is left parked whose socket is closed from this side.
//   - A socket that is closed behind our back, by the user who dialled it, leaves the set without
//     an event. Waiters that are Shared are looked at once in a while.
//
// The poller's lock is a leaf: it calls nobody while it holds that, and may be called under any
// other lock.

// Waiter stands for a connection that may wait without a goroutine. It must not be copied.
type Waiter struct {
	Wake   func() // called in a goroutine of its own when there is something to read, or to see to
	Shared bool   // others may close the socket

	waiterState
}
