package reqws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// overload has a test for each row of the table of that name on the package page.
var overload = map[string]func(t *testing.T){
	"a slow handler":          slowHandler,
	"a full mailbox":          fullMailbox,
	"either with ReadAhead":   eitherWithReadAhead,
	"a slow Receive":          slowReceive,
	"a peer that never reads": neverReads,
	"a flood of pings":        floodOfPings,
	"tiny fragments":          tinyFragments,
	"compressed zeros":        compressedZeros,
}

func TestOverload(t *testing.T) {
	page, err := os.ReadFile("doc.go")
	is.New(t).NoErr(err)
	_, table, _ := strings.Cut(string(page), "# Overload")
	table, _, _ = strings.Cut(table, "# ")
	rows := regexp.MustCompile(`(?m)^//\t(\w.*?)(?:  .*)?$`).FindAllStringSubmatch(table, -1)
	if len(rows) < 2 || rows[0][1] != "what" {
		t.Fatal("the table was not found")
	}
	missing := maps.Clone(overload)
	for _, row := range rows[1:] {
		test := missing[row[1]]
		if test == nil {
			t.Errorf("the row %q has no test", row[1])
			continue
		}
		delete(missing, row[1])
		t.Run(row[1], test)
	}
	for name := range missing {
		t.Errorf("the test %q has no row", name)
	}
}

const (
	pipeSize  = 4 << 10 // of the connections below
	lineSize  = 1 << 10
	mostInOne = 72<<10 + 4<<10 // what may be read at once, and what is on its way
)

// line is one of n messages.
func line(i int) string { return fmt.Sprintf("%06d%s", i, strings.Repeat(".", lineSize-6)) }

// feeds is a server that sends n lines with a ping before each tenth, counts the bytes that the client
// has taken, reads what that sends, and ends well.
func feeds(t *testing.T, n int, taken *atomic.Int64, pongs *atomic.Int64) *reqwstest.Server {
	return reqwstest.NewMemory(t, reqwstest.BufferSize(pipeSize), reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Do(func(c *reqwstest.Conn) error {
			end := make(chan error)
			go func() {
				for {
					f, err := c.ReadFrame()
					if err != nil || f.Op == reqwstest.OpClose {
						end <- err
						return
					}
					pongs.Add(1)
				}
			}()
			for i := range n {
				if i%10 == 0 {
					if err := c.WriteFrame(reqwstest.Ping("")); err != nil {
						return errors.Join(err, <-end)
					}
				}
				if err := c.WriteFrame(reqwstest.Text(line(i))); err != nil {
					return errors.Join(err, <-end)
				}
				taken.Add(lineSize)
			}
			return errors.Join(c.WriteFrame(reqwstest.Close(1000, "")), <-end)
		}),
	))
}

func slowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		const n = 1000
		var taken, pongs atomic.Int64
		srv := feeds(t, n, &taken, &pongs)
		goOn := make(chan struct{})
		got := 0
		resp, err := to(srv).Do(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			<-goOn
			if f.Kind == reqws.KindText {
				if f.Text() != line(got) {
					t.Error("out of order")
				}
				got++
			}
			return reqws.Cont()
		})))
		is.NoErr(err)
		time.Sleep(time.Hour) // nobody is mistaken for dead meanwhile
		is.True(taken.Load() > 0)
		is.True(taken.Load() <= mostInOne)
		is.Equal(pongs.Load(), int64(0))
		close(goOn)
		is.NoErr(resp.Wait())
		is.Equal(got, n)
		is.True(pongs.Load() > 0)
	})
}

func fullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		const n = 1000
		var taken, pongs atomic.Int64
		srv := feeds(t, n, &taken, &pongs)
		mailbox := make(chan reqws.Message, 2)
		_, err := to(srv).Do(t.Context(), reqws.IntoMailbox(mailbox))
		is.NoErr(err)
		time.Sleep(time.Hour)
		is.True(taken.Load() > 0)
		is.True(taken.Load() <= 3*mostInOne) // two in the channel, one at its door
		is.True(pongs.Load() > 0)            // of the batches that were read
		is.Equal(lines(t, mailbox), n)
	})
}

func eitherWithReadAhead(t *testing.T) {
	const n, most = 1000, 100_000
	mailbox := make(chan reqws.Message)
	for name, read := range map[string]func(work func(reqws.Frame)) reqws.Option{
		"handler": func(work func(reqws.Frame)) reqws.Option {
			return reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				work(f)
				return reqws.Cont()
			}))
		},
		"mailbox": func(work func(reqws.Frame)) reqws.Option {
			go func() {
				for m := range mailbox {
					for _, f := range m.Frames {
						work(f)
					}
					if m.Err != nil {
						return
					}
				}
			}()
			return reqws.IntoMailbox(mailbox)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				mailbox = make(chan reqws.Message)
				var taken, pongs atomic.Int64
				srv := feeds(t, n, &taken, &pongs)
				goOn := make(chan struct{})
				got := 0
				resp, err := to(srv).Do(t.Context(), reqws.ReadAhead(most), read(func(f reqws.Frame) {
					<-goOn
					if f.Kind == reqws.KindText {
						is.Equal(f.Text(), line(got))
						got++
					}
				}))
				is.NoErr(err)
				time.Sleep(time.Hour)
				is.True(taken.Load() > most*lineSize/(lineSize+128))
				is.True(taken.Load() <= most+2*mostInOne) // what is handled, and what is about to wait
				is.True(pongs.Load() > 0)
				close(goOn)
				is.NoErr(resp.Wait())
				synctest.Wait()
				is.Equal(got, n)
			})
		})
	}
}

// lines counts those that a mailbox gets until its end, and sees to their order.
func lines(t *testing.T, mailbox <-chan reqws.Message) (got int) {
	for m := range mailbox {
		for _, f := range m.Frames {
			if f.Kind == reqws.KindText {
				is.New(t).Equal(f.Text(), line(got))
				got++
			}
		}
		if m.Err != nil {
			break
		}
	}
	return got
}

func slowReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		const n, backlog = 1000, 256 << 10
		var taken, pongs atomic.Int64
		srv := feeds(t, n, &taken, &pongs)
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		time.Sleep(time.Hour)
		is.True(taken.Load() >= backlog*3/4)         // the heads of frames and the pings count, too
		is.True(taken.Load() <= backlog+2*mostInOne) // and a batch; one is on its way
		is.True(pongs.Load() > 0)
		got := 0
		for f, err := range resp.Frames(t.Context()) {
			is.NoErr(err)
			if f.Kind == reqws.KindText {
				is.Equal(f.Text(), line(got))
				got++
			}
		}
		is.Equal(got, n)
	})
}

func neverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(pipeSize), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Do(func(c *reqwstest.Conn) error { // sends all the while, and so is alive
				for c.WriteFrame(reqwstest.Text("tick")) == nil {
					time.Sleep(time.Second)
				}
				return nil
			}),
		))
		resp, err := to(srv, reqws.WriteTimeout(10*time.Second)).Do(t.Context(), (&witness{}).into())
		is.NoErr(err)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error)
		go func() { first <- resp.Send(t.Context(), reqws.Binary(make([]byte, 2*pipeSize))) }()
		synctest.Wait()
		err = resp.Send(ctx, reqws.Text("behind it"))
		is.True(errors.Is(err, context.DeadlineExceeded)) // that Send alone
		is.Equal(time.Since(start), time.Second)
		is.True(errors.Is(<-first, os.ErrDeadlineExceeded))
		is.True(errors.Is(resp.Wait(), os.ErrDeadlineExceeded))
		is.True(time.Since(start) >= 10*time.Second)
		is.True(time.Since(start) <= 11*time.Second) // what it took at first was a sign of life
	})
}

// Of a flood that finds the connection busy the last ping is answered, and nothing is held for the
// others.
func floodOfPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		const n = 100_000
		flooded := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				for i := range n {
					if err := c.WriteFrame(reqwstest.Ping(fmt.Sprint(i))); err != nil {
						return err
					}
				}
				close(flooded)
				time.Sleep(time.Second)
				pongs, last := 0, ""
				for {
					op, p, err := c.ReadMessage()
					switch {
					case err != nil:
						return err
					case op == reqwstest.OpPong:
						pongs, last = pongs+1, string(p)
					case string(p) == "end":
						if last != fmt.Sprint(n-1) || pongs > n/10 {
							return fmt.Errorf("%d pongs, the last one %q", pongs, last)
						}
						return nil
					}
				}
			}),
			reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""),
		))
		resp, err := to(srv).Do(t.Context(), (&witness{}).into())
		is.NoErr(err)
		go func() { _ = resp.Send(context.Background(), reqws.Binary(make([]byte, 1<<20))) }()
		<-flooded
		synctest.Wait()
		is.NoErr(resp.Send(context.Background(), reqws.Text("end")))
		is.NoErr(resp.Wait())
	})
}

// A message in a million pieces, most of them empty, holds no more than its bytes.
func tinyFragments(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const size, limit = 64 << 10, 1 << 20
	n := unhurried(1_000_000)
	empty := bytes.Repeat(reqwstest.Encode(reqwstest.Frame{Op: reqwstest.OpContinuation}), n)
	last := wiretest.Fragments(1, reqwstest.Frame{Op: reqwstest.OpContinuation, Fin: true, Payload: make([]byte, size)})
	full := reqwstest.Encode(last...)
	tooMuch := bytes.Repeat(reqwstest.Encode(reqwstest.Frame{Op: reqwstest.OpContinuation, Payload: []byte("x")}), limit+1)
	begin := reqwstest.Send(reqwstest.Frame{Op: reqwstest.OpBinary})
	writes := func(p []byte) reqwstest.Step {
		return reqwstest.Do(func(c *reqwstest.Conn) error {
			_, _ = c.Write(p) // what is too much need not be taken to the end
			return nil
		})
	}
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		begin, writes(empty), writes(full),
		begin, writes(tooMuch),
		reqwstest.ExpectCloseCode(1009),
	))
	var before, after runtime.MemStats
	got := 0
	err := to(srv, reqws.MaxMessageSize(limit), reqws.OnOpen(func(*reqws.Response) reqws.Directive {
		runtime.ReadMemStats(&before)
		return reqws.Cont()
	})).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		runtime.ReadMemStats(&after)
		got = len(f.Data)
		return reqws.Cont()
	})))
	is.True(errors.Is(err, reqws.ErrMessageTooBig)) // the second one
	is.Equal(got, size)
	is.True(after.TotalAlloc-before.TotalAlloc < 16*size)
}

// What a few bytes inflate to is held up to MaxMessageSize, and the connection closed then.
func compressedZeros(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const limit = 1 << 20
	bomb := reqwstest.Encode(wiretest.Deflate(reqwstest.Binary(make([]byte, unhurried(64<<20)))))
	srv := reqwstest.NewMemory(t, reqwstest.Script(
		accepting(deflate),
		reqwstest.Do(func(c *reqwstest.Conn) error {
			_, _ = c.Write(bomb) // which need not be taken to the end
			return nil
		}),
		reqwstest.ExpectCloseCode(1009),
	))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := to(srv, reqws.Compression(websocket.CompressionContextTakeover), reqws.MaxMessageSize(limit)).Run(t.Context(), (&witness{}).into())
	runtime.ReadMemStats(&after)
	is.True(errors.Is(err, reqws.ErrMessageTooBig))
	is.True(after.TotalAlloc-before.TotalAlloc < 12*limit)
}
