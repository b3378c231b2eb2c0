package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
)

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10

	finBit  = 0x80
	rsv1Bit = 0x40
	maskBit = 0x80
)

// payload is the text of every message of a size.
func payload(size int) []byte {
	return bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog. "), size/45+1)[:size]
}

// appendFrame appends a whole message. op may carry the RSV1 bit.
func appendFrame(b []byte, op byte, data []byte, masked bool) []byte {
	b = append(b, finBit|op)
	var mask byte
	if masked {
		mask = maskBit
	}
	switch n := len(data); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if !masked {
		return append(b, data...)
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i, c := range data {
		b = append(b, c^key[i%4])
	}
	return b
}

// jsonSize is the size of every document of documents.
const jsonSize = 1024

// documents are JSON texts of equal size, alike but not the same, as a feed sends.
func documents() [][]byte {
	docs := make([][]byte, 64)
	seed := uint32(1)
	next := func(below uint32) uint32 {
		seed = seed*1664525 + 1013904223
		return (seed >> 8) % below
	}
	for i := range docs {
		b := fmt.Appendf(nil, `{"channel":"trades","symbol":"XBT/USD","sequence":%d,"trades":[`, 1e7+next(9e7))
		for j := 0; ; j++ {
			item := fmt.Sprintf(`{"id":%d,"price":"%05d.%02d","volume":"0.%06d","side":"%s","time":"2024-03-05T12:%02d:%02d.%06dZ"}`,
				1e7+next(9e7), next(1e5), next(100), next(1e6), [...]string{"buy", "ask"}[next(2)], next(60), next(60), next(1e6))
			if len(b)+1+len(item)+len(`],"pad":""}`) > jsonSize {
				break
			}
			if j > 0 {
				b = append(b, ',')
			}
			b = append(b, item...)
		}
		b = append(b, `],"pad":"`...)
		b = append(b, bytes.Repeat([]byte{'-'}, jsonSize-len(b)-2)...)
		docs[i] = append(b, `"}`...)
	}
	return docs
}

// deflated compresses one message without context (RFC 7692, section 7.2.1).
func deflated(data []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	w.Write(data)
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}
