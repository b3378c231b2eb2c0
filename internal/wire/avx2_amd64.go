package wire

// avx2 says whether the functions below may be called.
var avx2 = hasAVX2()

// validBlocks reports whether what stands from p on, n bytes, a multiple of 64, can begin a text. That may end inside a
// code point.
//
// This is the algorithm of John Keiser and Daniel Lemire, "Validating UTF-8 In Less Than One Instruction Per Byte"
// (2020), behind a walk over ASCII by 128 bytes. For text that is not ASCII it takes a tenth of the time of
// utf8.Valid or less, and that was several times what all else about a message took.
//
//go:noescape
func validBlocks(p *byte, n int) bool

// maskBlocks sets n bytes from dst on, a multiple of 128, to those from src on XOR key, over and over.
//
//go:noescape
func maskBlocks(dst, src *byte, n int, key uint64)

func hasAVX2() bool
