package wire

import "sync"

// What the symbols of DEFLATE stand for, RFC 1951 sections 3.2.5 and 3.2.7.
var (
	literalSymbols = func() (s [288]code) {
		for i := range 256 {
			s[i] = isLiteral | code(i)<<valueShift
		}
		s[256] = isEnd
		base := 3
		for i := 257; i < 285; i++ {
			extra := max(0, (i-261)/4)
			s[i] = code(base)<<valueShift | code(extra)<<extraShift
			base += 1 << extra
		}
		s[285] = maxMatch << valueShift
		s[286], s[287] = isBad, isBad
		return s
	}()

	offsetSymbols = func() (s [32]code) {
		base := 1
		for i := range maxOffsets {
			extra := max(0, (i-2)/2)
			s[i] = code(base)<<valueShift | code(extra)<<extraShift
			base += 1 << extra
		}
		s[30], s[31] = isBad, isBad
		return s
	}()

	preSymbols = func() (s [19]code) {
		for i := range 16 {
			s[i] = isLiteral | code(i)<<valueShift
		}
		s[16] = 3<<valueShift | 2<<extraShift
		s[17] = 3<<valueShift | 3<<extraShift
		s[18] = 11<<valueShift | 7<<extraShift
		return s
	}()
)

type fixedTables struct {
	literals [literalTable]code
	offsets  [offsetTable]code
}

// fixedCodes are those of RFC 1951 section 3.2.6.
var fixedCodes = sync.OnceValue(func() *fixedTables {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144 || i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	f := &fixedTables{}
	build(f.literals[:], literalRoot, lengths[:], literalSymbols[:])
	for i := range 32 {
		lengths[i] = 5
	}
	build(f.offsets[:], offsetRoot, lengths[:32], offsetSymbols[:])
	return f
})
