package reqws_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A peer that takes no bytes at all for the write timeout ends the stream.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		w := &witness{}
		resp, err := to(srv, reqws.WriteTimeout(7*time.Second)).Do(t.Context(), w.into())
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), reqws.Text(strings.Repeat("x", 992)))) // all it takes
		start := time.Now()
		err = resp.Send(t.Context(), reqws.Text("one more"))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.True(strings.Contains(err.Error(), "write timeout of 7s"))
		is.Equal(time.Since(start), 7*time.Second)
		is.True(errors.Is(resp.Wait(), os.ErrDeadlineExceeded))
		is.Equal(len(w.errs), 1)
		is.True(errors.Is(w.errs[0], os.ErrDeadlineExceeded))
	})
}

// A reply that is stuck ends the stream in the same way.
func TestWriteTimeoutOfAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.Stall()))
		w := &witness{answer: func(reqws.Event, *reqws.Response) reqws.Directive {
			return reqws.Cont(reqws.Text(strings.Repeat("x", 5000)))
		}}
		err := to(srv, reqws.WriteTimeout(7*time.Second)).Run(t.Context(), w.into())
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.True(strings.Contains(err.Error(), "write timeout of 7s"))
		is.Equal(len(w.errs), 1)
	})
}

// A slow peer is not a stuck one: as long as it takes bytes, the stream lives.
func TestWriteTimeoutSparesTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		const size = 35_000
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				for got := 0; got < size+8; { // with its header, 1 kB in 5 s
					time.Sleep(5 * time.Second)
					n, err := c.NetConn().Read(make([]byte, 1000))
					if err != nil {
						return err
					}
					got += n
				}
				return nil
			}),
			reqwstest.Drop(),
		))
		resp, err := to(srv, reqws.WriteTimeout(7*time.Second)).Do(t.Context())
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), reqws.Binary(make([]byte, size))))
		is.True(resp.Wait() != nil)
	})
}
