package h2

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

// echo is a server on loopback that accepts every stream and sends every other frame back as it
// is: DATA becomes an echo, and WINDOW_UPDATE grants the client what it granted.
func echo(tb testing.TB) *Conn {
	is := is.New(tb)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	go func() {
		nc, err := l.Accept()
		l.Close()
		if err != nil {
			return
		}
		defer nc.Close()
		serveEcho(nc)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	is.NoErr(err)
	c := NewConn(nc, Config{})
	tb.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

func serveEcho(nc net.Conn) {
	br, bw := bufio.NewReaderSize(nc, 128<<10), bufio.NewWriterSize(nc, 128<<10)
	fr := http2.NewFramer(bw, br)
	br.Discard(len(http2.ClientPreface))
	fr.WriteSettings(
		http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20},
	)
	buf := make([]byte, 128<<10)
	for {
		if br.Buffered() == 0 && bw.Flush() != nil {
			return
		}
		header, err := br.Peek(9)
		if err != nil {
			return
		}
		copy(buf, header)
		h, err := fr.ReadFrameHeader()
		if err != nil {
			return
		}
		switch h.Type {
		case http2.FrameHeaders:
			br.Discard(int(h.Length))
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true})
		case http2.FrameSettings:
			br.Discard(int(h.Length))
			if !h.Flags.Has(http2.FlagSettingsAck) {
				fr.WriteSettingsAck()
			}
		case http2.FrameGoAway:
			return
		default:
			frame := buf[:9+h.Length]
			if _, err := io.ReadFull(br, frame[9:]); err != nil {
				return
			}
			bw.Write(frame)
		}
	}
}

func openEcho(tb testing.TB, c *Conn) *Stream {
	is := is.New(tb)
	_, s, err := c.Connect(context.Background(), request("https://example.com/"))
	is.NoErr(err)
	return s
}

// A message sent and its echo received cost no allocation.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	is := is.New(t)
	s := openEcho(t, echo(t))
	for _, size := range []int{16, 1000, 30_000} {
		b := make([]byte, size)
		allocs := testing.AllocsPerRun(1000, func() {
			s.Write(b)
			s.WaitReadable()
			io.ReadFull(s, b)
		})
		is.True(allocs < 1) // the server's are counted too
	}
}

// The memory of a stream without traffic, its http.Response aside.
func TestIdleStreamMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory")
	}
	is := is.New(t)
	c := echo(t)
	const n = 2000
	streams := make([]*Stream, n)
	var before, after runtime.MemStats
	b := make([]byte, 100_000)
	openEcho(t, c)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range streams {
		s := openEcho(t, c)
		go s.Write(b)
		_, err := io.ReadFull(s, b)
		is.NoErr(err)
		streams[i] = s
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes of heap per stream", each)
	is.True(each < 1000)
	is.True(runtime.NumGoroutine() < 50)
	runtime.KeepAlive(streams)
}

func BenchmarkEcho(b *testing.B) {
	for name, size := range map[string]int{"16B": 16, "1KiB": 1 << 10, "64KiB": 64 << 10} {
		b.Run("h2/"+name, func(b *testing.B) {
			benchmarkEcho(b, openEcho(b, echo(b)), size)
		})
		b.Run("tcp/"+name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go func() {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				buf := make([]byte, 128<<10)
				for {
					n, err := nc.Read(buf)
					if err != nil {
						return
					}
					nc.Write(buf[:n])
				}
			}()
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			benchmarkEcho(b, nc, size)
		})
	}
}

func benchmarkEcho(b *testing.B, nc net.Conn, size int) {
	p := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nc.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(nc, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStream writes and reads at the same time, as fast as it goes.
func BenchmarkStream(b *testing.B) {
	for name, size := range map[string]int{"16B": 16, "1KiB": 1 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			s := openEcho(b, echo(b))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			go func() {
				p := make([]byte, size)
				for range b.N {
					s.Write(p)
				}
			}()
			b.ResetTimer()
			if _, err := io.CopyN(io.Discard, s, int64(b.N)*int64(size)); err != nil {
				b.Fatal(err)
			}
		})
	}
}
