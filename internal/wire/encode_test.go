package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/matryer/is"
)

// unmask undoes a client's frame with nothing but the letter of RFC 6455 section 5.
func unmask(t *testing.T, p []byte) (first byte, payload []byte) {
	t.Helper()
	is := is.New(t)
	is.True(p[1]&0x80 != 0)
	n, size := int(p[1]&0x7f), 2
	switch n {
	case 126:
		n, size = int(p[2])<<8|int(p[3]), 4
		is.True(n > 125)
	case 127:
		n, size = 0, 10
		for _, b := range p[2:10] {
			n = n<<8 | int(b)
		}
		is.True(n > 65535)
	}
	key := p[size : size+4]
	payload = bytes.Clone(p[size+4:])
	is.Equal(len(payload), n)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return p[0], payload
}

func TestAppendFrame(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 125, 126, 127, 65535, 65536, 100000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			is := is.New(t)
			payload := make([]byte, n)
			for i := range payload {
				payload[i] = byte(i * 7)
			}
			before := bytes.Clone(payload)
			p := AppendFrame([]byte("before"), OpBinary, payload, 0x12345678)
			is.Equal(string(p[:6]), "before")
			first, got := unmask(t, p[6:])
			is.Equal(first, byte(0x82))
			is.True(bytes.Equal(got, before))
			is.True(bytes.Equal(payload, before)) // the caller's bytes are untouched
		})
	}
}

func TestAppendHeader(t *testing.T) {
	is := is.New(t)
	is.Equal(AppendHeader(nil, OpText, false, false, 0, 0x04030201), []byte{0x01, 0x80, 1, 2, 3, 4})
	is.Equal(AppendHeader(nil, OpText, false, true, 125, 0x04030201), []byte{0x41, 0x80 | 125, 1, 2, 3, 4})
	is.Equal(AppendHeader(nil, OpContinuation, true, false, 0x1234, 0), []byte{0x80, 0xfe, 0x12, 0x34, 0, 0, 0, 0})
	p := AppendHeader(nil, OpBinary, true, false, 1<<30, 0)
	is.Equal(p, []byte{0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0})
	is.Equal(len(p), MaxHeader)
}

func TestAppendClose(t *testing.T) {
	is := is.New(t)
	first, p := unmask(t, AppendClose(nil, 0, nil, 99))
	is.Equal(first, byte(0x88))
	is.Equal(len(p), 0)
	first, p = unmask(t, AppendClose(nil, 1000, []byte("bye"), 99))
	is.Equal(first, byte(0x88))
	is.Equal(string(p), "\x03\xe8bye")
}

func TestMask(t *testing.T) {
	is := is.New(t)
	const key uint32 = 0xdeadbeef
	for n := range 600 {
		for pos := range 5 {
			src := make([]byte, n)
			for i := range src {
				src[i] = byte(i * 31)
			}
			want := bytes.Clone(src)
			for i := range want {
				want[i] ^= uint8(key >> (8 * ((pos + i) & 3)))
			}
			dst := make([]byte, n+1)
			Mask(dst, src, key, pos)
			is.True(bytes.Equal(dst[:n], want))
			is.Equal(dst[n], byte(0)) // not past src
			Mask(src, src, key, pos)
			is.True(bytes.Equal(src, want)) // in place
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add([]byte("hello, masked world: long enough for the words and the rest"), uint32(0x11223344), 3, 7)
	f.Fuzz(func(t *testing.T, p []byte, key uint32, pos, cut int) {
		pos &= 0xffff
		cut = int(uint(cut) % uint(len(p)+1))
		got := make([]byte, len(p))
		Mask(got, p[:cut], key, pos) // in two chunks
		Mask(got[cut:], p[cut:], key, pos+cut)
		for i := range p {
			if got[i] != p[i]^byte(key>>(8*((pos+i)&3))) {
				t.Fatalf("byte %d of %d, cut at %d, pos %d", i, len(p), cut, pos)
			}
		}
	})
}

func TestNewKeyDiffers(t *testing.T) {
	is := is.New(t)
	seen := map[uint32]bool{}
	for range 1000 {
		seen[NewKey()] = true
	}
	is.True(len(seen) > 990)
}

func TestEncodeAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	is := is.New(t)
	buf := make([]byte, 0, 2<<20)
	payload := make([]byte, 1<<20)
	is.Equal(testing.AllocsPerRun(100, func() {
		p := AppendFrame(buf, OpText, payload[:16], NewKey())
		p = AppendFrame(p, OpPong, nil, NewKey())
		p = AppendClose(p, 1000, payload[:5], NewKey())
		AppendFrame(p, OpBinary, payload, NewKey())
	}), 0.0)
}
