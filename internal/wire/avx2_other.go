//go:build !amd64

package wire

const avx2 = false

func validBlocks(*byte, int) bool { panic("unreachable") }

func maskBlocks(_, _ *byte, _ int, _ uint64) { panic("unreachable") }
