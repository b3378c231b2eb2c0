package wire

import "testing"

// Where there is no AVX2 the portable ways come to the same.
func TestWithoutAVX2(t *testing.T) {
	defer func(before bool) { avx2 = before }(avx2)
	avx2 = false
	t.Run("UTF-8", TestUTF8AtAllPlaces)
	t.Run("Mask", TestMask)
}
