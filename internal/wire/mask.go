package wire

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Mask sets dst[i] to src[i] XOR the byte (pos+i) mod 4 of key, for all of src, RFC 6455 section 5.3.
// dst is at least as long as src and is the same memory or does not overlap it. pos is where src
// begins in the payload of its frame.
func Mask(dst, src []byte, key uint32, pos int) {
	key = bits.RotateLeft32(key, -8*(pos&3))
	k := uint64(key)<<32 | uint64(key)
	dst = dst[:len(src)]
	if avx2 && len(src) >= 128 {
		n := len(src) &^ 127
		maskBlocks(unsafe.SliceData(dst), unsafe.SliceData(src), n, k)
		src, dst = src[n:], dst[n:]
	}
	for len(src) >= 32 {
		s, d := src[:32:32], dst[:32:32]
		binary.LittleEndian.PutUint64(d, binary.LittleEndian.Uint64(s)^k)
		binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(s[8:])^k)
		binary.LittleEndian.PutUint64(d[16:], binary.LittleEndian.Uint64(s[16:])^k)
		binary.LittleEndian.PutUint64(d[24:], binary.LittleEndian.Uint64(s[24:])^k)
		src, dst = src[32:], dst[32:]
	}
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^k)
		src, dst = src[8:], dst[8:]
	}
	if len(src) >= 4 {
		binary.LittleEndian.PutUint32(dst, binary.LittleEndian.Uint32(src)^uint32(k))
		src, dst = src[4:], dst[4:]
	}
	for i, c := range src {
		dst[i] = c ^ byte(k>>(8*i))
	}
}
