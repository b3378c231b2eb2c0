package reqws_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// largeSize is that of a large message: 1 GiB where that does not take long, or as many MiB as
// REQWS_LARGE says.
func largeSize(t *testing.T, compressed bool) int {
	t.Helper()
	if s := os.Getenv("REQWS_LARGE"); s != "" {
		n, err := strconv.Atoi(s)
		is.New(t).NoErr(err)
		return n << 20
	}
	if raceEnabled || compressed {
		return 64 << 20
	}
	return 1 << 30
}

// held is a look at the heap every few MiB: none may be more than most above the first.
type held struct {
	t     *testing.T
	most  uint64
	base  uint64
	bytes int
	next  int
	peak  uint64
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the pools kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func holds(t *testing.T, most uint64) *held { return &held{t: t, most: most, base: heap()} }

// add counts n bytes.
func (h *held) add(n int) {
	if h.bytes += n; h.bytes < h.next {
		return
	}
	h.next = h.bytes + 8<<20 + h.bytes/4
	if now := heap(); now > h.base {
		h.peak = max(h.peak, now-h.base)
	}
}

func (h *held) done(want int) {
	h.t.Helper()
	h.t.Logf("%d MiB, %d KiB held at most", h.bytes>>20, h.peak>>10)
	if h.bytes != want || h.peak > h.most {
		h.t.Errorf("%d bytes of %d, %d KiB held", h.bytes, want, h.peak>>10)
	}
}

// most is what a connection may hold of a message, whatever its size.
const mostHeld = 2 << 20

// A message of 1 GiB comes in, in one frame, in fragments, or compressed; next to nothing of it is held.
func TestALargeMessageIn(t *testing.T) {
	part := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	continues := func(f reqwstest.Frame) []byte {
		f.Fin, f.Op = false, reqwstest.OpContinuation
		return reqwstest.Encode(f)
	}
	packed := wiretest.Deflate(reqwstest.Text(prose(1, len(part))))
	packed.Payload, packed.RSV = append(packed.Payload, 0, 0, 0xff, 0xff), 0
	for _, tc := range []struct {
		name  string
		dial  func(*testing.T, ...reqws.Option) (net.Conn, *reqws.Response)
		first func(size int) []byte
		part  []byte // for each MiB
		last  []byte
	}{
		{"one frame", rawPeer, func(size int) []byte {
			return binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(size))
		}, part, nil},
		{"fragments", rawPeer, func(int) []byte { return []byte{0x01, 0} }, continues(reqwstest.Text(part)), []byte{0x80, 0}},
		{"compressed", rawCompressed, func(int) []byte { return []byte{0x41, 0} }, continues(packed), []byte{0x80, 1, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			size := largeSize(t, tc.name == "compressed")
			whole := make(chan struct{})
			h := holds(t, mostHeld)
			peer, resp := tc.dial(t, reqws.Pieces(true), reqws.MaxMessageSize(-1), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				if h.add(len(f.Data)); f.More {
					return reqws.Cont()
				}
				close(whole)
				return reqws.Cont(reqws.Close(1000, ""))
			})))
			_, err := peer.Write(tc.first(size))
			is.NoErr(err)
			for range size >> 20 {
				if _, err = peer.Write(tc.part); err != nil {
					break
				}
			}
			is.NoErr(err)
			_, err = peer.Write(tc.last)
			is.NoErr(err)
			<-whole
			h.done(size)
			is.NoErr(resp.CloseNow())
		})
	}
}

// endless is a reader of size bytes.
type endless struct {
	part []byte
	left int
	h    *held
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.part[e.left%len(e.part):])
	n = min(n, e.left)
	e.left -= n
	e.h.add(n)
	return n, nil
}

// And one goes out.
func TestALargeMessageOut(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, ...reqws.Option) (net.Conn, *reqws.Response){
		"plain": rawPeer, "compressed": rawCompressed,
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			size := largeSize(t, name == "compressed")
			peer, resp := dial(t)
			counted := make(chan int)
			go func() {
				buf := make([]byte, 64<<10)
				n := 0
				for {
					m, err := peer.Read(buf)
					if n += m; err != nil {
						counted <- n
						return
					}
				}
			}()
			from := &endless{part: []byte(prose(1, 1<<20)), left: size, h: holds(t, mostHeld)}
			is.NoErr(resp.SendReader(context.Background(), reqws.KindText, from))
			from.h.done(size)
			is.NoErr(resp.CloseNow())
			n := <-counted
			if name == "plain" {
				is.True(n > size)
			} else {
				is.True(n > size/100 && n < size)
			}
		})
	}
}

// A limit holds for what was handed over, too: nothing of a bomb stays.
func TestABombInPieces(t *testing.T) {
	is := is.New(t)
	bomb := wiretest.Deflate(reqwstest.Binary(make([]byte, 64<<20)))
	srv := reqwstest.New(t, reqwstest.Script(accepting(deflate), reqwstest.Send(bomb), reqwstest.ExpectCloseCode(1009), reqwstest.ExpectGone()))
	seen := 0
	err := to(srv, reqws.Pieces(true), reqws.MaxMessageSize(1<<20), reqws.Compression(takeover)).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		seen += len(f.Data)
		return reqws.Cont()
	})))
	is.True(errors.Is(err, reqws.ErrMessageTooBig))
	is.True(seen <= 1<<20)
}
