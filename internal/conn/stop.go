package conn

import "time"

// Stop fails what waits and what is still to come. What is in flight is up to who writes it,
// who does not wait for the connection any more: that may not be closed for long.
func (w *Writer) Stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil || w.conn == nil {
		w.err = err
	}
	if !w.busy {
		w.breakDown(w.err)
		return
	}
	w.cutShort()
}

// cutShort fails what waits, and ends a write that does. mu is held.
func (w *Writer) cutShort() {
	w.failQueue(w.err)
	if w.waiting {
		w.interrupt()
	}
}

// GiveUp makes all that is not written fail with err. What is in flight is up to who
// writes it.
func (w *Writer) GiveUp(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveUp(err)
}

// giveUp is GiveUp. mu is held.
func (w *Writer) giveUp(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	w.owner.WriteFailed(err)
	w.cutShort()
}

// Quit stops the writing where it is, and waits a moment for that: whatever has failed is known
// to the owner then. A connection whose deadlines do not work is not waited for.
func (w *Writer) Quit() {
	w.mu.Lock()
	if w.busy && w.conn != nil {
		w.quitting = true
		w.interrupt()
	}
	w.mu.Unlock()
	w.AwaitIdle(FarewellTime)
}

// AwaitIdle waits until nobody writes, or for d where that is above 0.
func (w *Writer) AwaitIdle(d time.Duration) {
	w.mu.Lock()
	if !w.busy {
		w.mu.Unlock()
		return
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	if d == 0 {
		<-idle
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// Release gives the compressor's memory back, after Stop.
func (w *Writer) Release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deflate != nil && !w.busy {
		w.deflate.Release()
		w.deflate = nil
	}
}

// Leaving reports whether a close frame is being written, or was: one that is still in the queue,
// where it is the last, may yet be taken back.
func (w *Writer) Leaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut && (w.tail == nil || !EndInClose(w.tail.frames))
}

// Closing reports whether a close frame was queued.
func (w *Writer) Closing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut
}

// Detach has TLS write by itself again, after Stop: it is to say goodbye.
func (w *Writer) Detach() {
	if w.link != nil {
		w.link.Release()
	}
}
