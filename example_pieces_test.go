package reqws_test

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// A file of any size goes through a hash without ever being whole in memory.
func ExamplePieces() {
	url, stop := plays(
		reqwstest.Send(wiretest.Fragments(10_000, reqwstest.Binary(make([]byte, 1_000_000)))...),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	)
	defer stop()

	hash, size := sha256.New(), 0
	err := reqws.New(reqws.URL(url)).Run(context.Background(), reqws.Pieces(true), reqws.Into(reqws.Each(
		func(f reqws.Frame) reqws.Directive {
			if f.Kind != reqws.KindBinary {
				return reqws.Cont()
			}
			hash.Write(f.Data)
			size += len(f.Data)
			if f.More {
				return reqws.Cont()
			}
			fmt.Printf("%d bytes, %x…\n", size, hash.Sum(nil)[:4])
			return reqws.Halt()
		})))
	fmt.Println(err)
	// Output:
	// 1000000 bytes, d29751f2…
	// <nil>
}
