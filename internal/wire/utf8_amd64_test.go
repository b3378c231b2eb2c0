package wire

import "testing"

// Where there is no AVX2 the portable way judges alike.
func TestUTF8WithoutBlocks(t *testing.T) {
	defer func(before bool) { blocksChecked = before }(blocksChecked)
	blocksChecked = false
	TestUTF8AtAllPlaces(t)
}
