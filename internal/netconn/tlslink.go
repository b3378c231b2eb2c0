package netconn

import (
	"io"
	"net"
	"sync"
)

// TLSLink stands between TLS and the network. Once the handshake is over it keeps what TLS
// writes until the stream's writer takes it: so encrypting never waits, and it is the writer who
// writes, waits and gives up, which inside of a TLS write would lose the place for good.
//
// TLS writes by itself too, when the peer asks for new keys: that goes out with the next
// frames.
type TLSLink struct {
	net.Conn
	Renegotiates bool // TLS may do handshakes after the first, too

	reader io.Reader // of Conn, in its place
	mu     sync.Mutex
	held   bool
	kept   []byte
}

// Read is called by TLS.
func (l *TLSLink) Read(p []byte) (int, error) {
	if l.reader != nil {
		return l.reader.Read(p)
	}
	return l.Conn.Read(p)
}

// ReadBy has TLS read by r, of which a read may fail where there is nothing to read yet. It reports false
// where that cannot be: a handshake would not survive it, nor would what was read before.
func (l *TLSLink) ReadBy(r io.Reader) bool {
	if c, ok := l.Conn.(*Conn); l.Renegotiates || ok && len(c.Rest) > 0 {
		return false
	}
	l.reader = r
	return true
}

// Write is called by TLS.
func (l *TLSLink) Write(p []byte) (int, error) {
	l.mu.Lock()
	if !l.held {
		l.mu.Unlock()
		return l.Conn.Write(p)
	}
	l.kept = append(l.kept, p...)
	l.mu.Unlock()
	return len(p), nil
}

// Hold makes l keep what is written.
func (l *TLSLink) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

// Release lets writes through again, to say goodbye. What TLS had to say by itself goes first.
func (l *TLSLink) Release() {
	l.mu.Lock()
	kept := l.kept
	l.held, l.kept = false, nil
	l.mu.Unlock()
	if len(kept) > 0 {
		_, _ = l.Conn.Write(kept)
	}
}

// Lend gives l the buffer that it is to keep what is written in, until Take.
func (l *TLSLink) Lend(buf []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(buf[:0], l.kept...)
}

// Take returns all that was kept.
func (l *TLSLink) Take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.kept
	l.kept = nil
	return kept
}
