package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

// farm is where a Pool's connections go in a test.
type farm struct {
	is    *is.I
	pool  Pool
	idle  atomic.Int32
	peers chan *peer // each after its exchange of SETTINGS
	hello func(p *peer)
	dials atomic.Int32
}

func pooled(t *testing.T, settings []http2.Setting, f func(is *is.I, fm *farm)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		fm := &farm{is: is, peers: make(chan *peer, 100), hello: func(p *peer) { p.hello(settings...) }}
		f(is, fm)
		synctest.Wait()
		is.Equal(len(fm.pool.groups), 0) // nothing is left over
	})
}

// dial is what the Pool is given: the connection's peer goes to fm.peers.
func (fm *farm) dial(context.Context) (net.Conn, error) {
	n := fm.dials.Add(1)
	client, server := net.Pipe()
	p := serve(fm.is, server)
	p.number = n
	go func() {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(server, preface); err != nil {
			return
		}
		p.pump()
		fm.hello(p)
		fm.peers <- p
	}()
	return client, nil
}

func (fm *farm) connect(ctx context.Context) chan opened {
	return fm.connectBy(ctx, fm.dial)
}

func (fm *farm) connectBy(ctx context.Context, dial func(context.Context) (net.Conn, error)) chan opened {
	result := make(chan opened, 1)
	cfg := Config{OnIdle: func(*Conn) { fm.idle.Add(1) }}
	go func() {
		resp, s, err := fm.pool.Connect(ctx, "example.com", request("https://example.com/chat"), dial, cfg)
		result <- opened{resp, s, err}
	}()
	return result
}

// accept answers a request with 200.
func (p *peer) accept() uint32 {
	id, _ := p.wantRequest()
	p.headers(id, false, ":status", "200")
	return id
}

// wantClosed reads what remains until the client has closed the connection.
func (p *peer) wantClosed() {
	last := frame{}
	for f := range p.frames {
		last = f
	}
	p.is.Equal(last.Type, http2.FrameGoAway)
}

func TestPoolShares(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		first := fm.connect(context.Background())
		p := <-fm.peers
		p.accept()
		a := <-first
		is.NoErr(a.err)
		second := fm.connect(context.Background())
		is.Equal(p.accept(), uint32(3))
		b := <-second
		is.NoErr(b.err)
		is.Equal(fm.dials.Load(), int32(1))
		is.NoErr(a.s.Close())
		is.Equal(fm.idle.Load(), int32(0))
		p.data(3, false, "x")
		is.Equal(readString(is, b.s, 1), "x")
		is.NoErr(b.s.Close())
		is.Equal(fm.idle.Load(), int32(1))
		p.wantClosed() // with its last stream

		third := fm.connect(context.Background())
		p = <-fm.peers
		p.accept()
		c := <-third
		is.NoErr(c.err)
		is.Equal(fm.dials.Load(), int32(2))
		is.NoErr(c.s.Close())
		p.wantClosed()
	})
}

// Another key means another connection.
func TestPoolKeys(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		var streams []*Stream
		for _, key := range []string{"a", "b"} {
			result := make(chan opened)
			go func() {
				resp, s, err := fm.pool.Connect(context.Background(), key, request("https://example.com/"), fm.dial, Config{})
				result <- opened{resp, s, err}
			}()
			p := <-fm.peers
			p.accept()
			o := <-result
			is.NoErr(o.err)
			streams = append(streams, o.s)
		}
		is.Equal(fm.dials.Load(), int32(2))
		is.True(streams[0].c != streams[1].c)
		for _, s := range streams {
			is.NoErr(s.Close())
		}
	})
}

// Requests that come together share one dial, and go on to further connections where the peer's
// limit makes them.
func TestPoolSingleDial(t *testing.T) {
	limit := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 10}}
	pooled(t, limit, func(is *is.I, fm *farm) {
		var results []chan opened
		for range 25 {
			results = append(results, fm.connect(context.Background()))
		}
		peers := []*peer{<-fm.peers, <-fm.peers, <-fm.peers} // the third may be there before the second
		slices.SortFunc(peers, func(p, q *peer) int { return int(p.number - q.number) })
		for i, n := range []int{10, 10, 5} {
			for range n {
				peers[i].accept()
			}
			peers[i].wantIdle()
		}
		is.Equal(fm.dials.Load(), int32(3))
		perConn := map[*Conn]int{}
		for _, r := range results {
			o := <-r
			is.NoErr(o.err)
			perConn[o.s.c]++
			defer o.s.Close()
		}
		is.Equal(len(perConn), 3)
	})
}

// A place that becomes free is used again.
func TestPoolReusesPlace(t *testing.T) {
	limit := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 2}}
	pooled(t, limit, func(is *is.I, fm *farm) {
		r1, r2 := fm.connect(context.Background()), fm.connect(context.Background())
		p := <-fm.peers
		p.accept()
		p.accept()
		a, b := <-r1, <-r2
		is.NoErr(a.s.Close())
		p.want(http2.FrameData)
		p.want(http2.FrameRSTStream)
		r3 := fm.connect(context.Background())
		p.accept()
		c := <-r3
		is.NoErr(c.err)
		is.Equal(fm.dials.Load(), int32(1))
		is.NoErr(b.s.Close())
		is.NoErr(c.s.Close())
	})
}

// The limit is kept whatever the order in which streams come and go.
func TestPoolLimitRace(t *testing.T) {
	limit := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 3}}
	pooled(t, limit, func(is *is.I, fm *farm) {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // each connection counts its open streams
			for p := range fm.peers {
				go func() {
					open := map[uint32]bool{}
					for f := range p.frames {
						switch f.Type {
						case http2.FrameHeaders:
							open[f.StreamID] = true
							if len(open) > 3 {
								panic("too many streams")
							}
							p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true})
						case http2.FrameRSTStream:
							delete(open, f.StreamID)
						}
					}
				}()
			}
		}()
		done := make(chan bool)
		for range 20 {
			go func() {
				for range 20 {
					o := <-fm.connect(ctx)
					if o.err != nil {
						panic(o.err)
					}
					o.s.Close()
				}
				done <- true
			}()
		}
		for range 20 {
			<-done
		}
		cancel()
		close(fm.peers)
	})
}

// A dial outlives the request that began it, if others wait for it.
func TestPoolDialInitiatorLeaves(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		type key struct{}
		var value any
		proceed := make(chan bool)
		slow := func(ctx context.Context) (net.Conn, error) {
			value = ctx.Value(key{})
			select {
			case <-proceed:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return fm.dial(ctx)
		}
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "first"))
		first := fm.connectBy(ctx, slow)
		synctest.Wait()
		is.Equal(value, "first")
		second := fm.connectBy(context.Background(), slow)
		synctest.Wait()
		cancel()
		err := (<-first).err
		is.True(errors.Is(err, context.Canceled))
		isText(is, err, "waiting for a connection")
		proceed <- true
		p := <-fm.peers
		p.accept()
		o := <-second
		is.NoErr(o.err)
		is.Equal(fm.dials.Load(), int32(1))
		is.NoErr(o.s.Close())
	})
}

// A dial that nobody waits for ends, and a later request is not its victim.
func TestPoolDialAbandoned(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		ended := make(chan bool)
		finish, closed := make(chan bool), make(chan bool)
		stuck := func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			close(ended)
			client, server := net.Pipe() // it had the connection already
			go func() {
				io.Copy(io.Discard, server)
				close(closed)
			}()
			<-finish
			return client, nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		is.True(errors.Is((<-fm.connectBy(ctx, stuck)).err, context.DeadlineExceeded))
		<-ended
		later := fm.connect(context.Background())
		p := <-fm.peers
		p.accept()
		o := <-later
		is.NoErr(o.err)
		close(finish)
		<-closed
		is.NoErr(o.s.Close())
	})
}

func TestPoolDialFails(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		refused := errors.New("connection refused")
		dials := 0
		fail := func(context.Context) (net.Conn, error) {
			dials++
			time.Sleep(time.Second)
			return nil, refused
		}
		a, b := fm.connectBy(context.Background(), fail), fm.connectBy(context.Background(), fail)
		is.Equal((<-a).err, refused)
		is.Equal((<-b).err, refused)
		is.Equal(dials, 1)
		is.Equal((<-fm.connectBy(context.Background(), fail)).err, refused)
		is.Equal(dials, 2) // a failure is not remembered
	})
}

func TestPoolNoExtendedConnect(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		all := make(chan struct{})
		fm.hello = func(p *peer) {
			<-all
			p.want(http2.FrameSettings)
			p.settings()
		}
		var results []chan opened
		for range 10 {
			results = append(results, fm.connect(context.Background()))
		}
		synctest.Wait() // they all wait for the one dial
		close(all)
		for _, r := range results {
			is.Equal((<-r).err, ErrNoExtendedConnect)
		}
		is.Equal(fm.dials.Load(), int32(1))
		(<-fm.peers).wantClosed()
		is.Equal(fm.idle.Load(), int32(1))
	})
}

// A peer that allows no stream at all is not dialled over and over.
func TestPoolLimitZero(t *testing.T) {
	pooled(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}, func(is *is.I, fm *farm) {
		is.Equal((<-fm.connect(context.Background())).err, ErrStreamLimit)
		is.Equal(fm.dials.Load(), int32(1))
		(<-fm.peers).wantClosed()
	})
}

func TestPoolGoAway(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		first := fm.connect(context.Background())
		p := <-fm.peers
		p.accept()
		a := <-first
		is.NoErr(a.err)

		second := fm.connect(context.Background())
		p.wantRequest()
		is.NoErr(p.fr.WriteGoAway(1, http2.ErrCodeNo, nil))
		q := <-fm.peers // the request begins again there
		is.Equal(q.accept(), uint32(1))
		b := <-second
		is.NoErr(b.err)

		third := fm.connect(context.Background()) // does not go to the one that has gone away
		is.Equal(q.accept(), uint32(3))
		c := <-third
		is.NoErr(c.err)
		is.Equal(fm.dials.Load(), int32(2))

		p.data(1, false, "x")
		is.Equal(readString(is, a.s, 1), "x")
		is.NoErr(a.s.Close())
		p.wantClosed()
		is.NoErr(b.s.Close())
		is.NoErr(c.s.Close())
		q.wantClosed()
	})
}

// A request is tried again once, not for ever.
func TestPoolGoAwayAlways(t *testing.T) {
	for name, refuse := range map[string]func(p *peer, id uint32){
		"GOAWAY":         func(p *peer, id uint32) { p.is.NoErr(p.fr.WriteGoAway(0, http2.ErrCodeNo, nil)) },
		"REFUSED_STREAM": func(p *peer, id uint32) { p.is.NoErr(p.fr.WriteRSTStream(id, http2.ErrCodeRefusedStream)) },
	} {
		t.Run(name, func(t *testing.T) {
			pooled(t, nil, func(is *is.I, fm *farm) {
				r := fm.connect(context.Background())
				for range 2 {
					p := <-fm.peers
					id, _ := p.wantRequest()
					refuse(p, id)
					p.wantClosed()
				}
				is.True(errors.Is((<-r).err, ErrNotProcessed))
				is.Equal(fm.dials.Load(), int32(2))
			})
		})
	}
}

// What may have been processed is not sent again.
func TestPoolConnectionLost(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		r := fm.connect(context.Background())
		p := <-fm.peers
		p.wantRequest()
		p.nc.Close()
		is.True(errors.Is((<-r).err, io.ErrUnexpectedEOF))
		is.Equal(fm.dials.Load(), int32(1))

		r = fm.connect(context.Background())
		p = <-fm.peers
		id, _ := p.wantRequest()
		is.NoErr(p.fr.WriteRSTStream(id, http2.ErrCodeInternal))
		isReset(is, (<-r).err, http2.ErrCodeInternal, true)
		is.Equal(fm.dials.Load(), int32(2))
	})
}

// A connection that is over before anybody could use it.
func TestPoolDeadOnArrival(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		dead := func(context.Context) (net.Conn, error) {
			fm.dials.Add(1)
			client, server := net.Pipe()
			server.Close()
			return client, nil
		}
		err := (<-fm.connectBy(context.Background(), dead)).err
		is.True(errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe))
		is.Equal(fm.dials.Load(), int32(1))
	})
}

// A refusal's connection serves the next request only while another stream holds it.
func TestPoolRefusal(t *testing.T) {
	pooled(t, nil, func(is *is.I, fm *farm) {
		r := fm.connect(context.Background())
		p := <-fm.peers
		id, _ := p.wantRequest()
		p.headers(id, false, ":status", "401")
		p.data(id, true, "who?")
		o := <-r
		is.NoErr(o.err)
		b, err := io.ReadAll(o.resp.Body)
		is.NoErr(err)
		is.Equal(string(b), "who?")
		is.NoErr(o.resp.Body.Close())
		p.wantClosed()
	})
}

// A connection that filled up or ended before those who waited for it got their places.
func TestPoolShare(t *testing.T) {
	limit := func(n uint32) []http2.Setting {
		return []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: n}}
	}
	bubble(t, Config{}, limit(1), func(is *is.I, c *Conn, p *peer) {
		p.pump()
		p.open(c)
		is.Equal(dialed{c: c}.share(), dialed{})
	})
	bubble(t, Config{}, limit(0), func(is *is.I, c *Conn, p *peer) {
		synctest.Wait()
		is.Equal(dialed{c: c}.share(), dialed{err: ErrStreamLimit})
	})
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.nc.Close()
		<-c.Done()
		r := dialed{c: c}.share()
		is.True(r.c == nil)
		is.True(errors.Is(r.err, io.ErrUnexpectedEOF))
	})
}

// The place on a connection that comes in the moment its ctx ends is given back.
func TestPoolLeaveTooLate(t *testing.T) {
	idle := 0
	bubble(t, Config{OnIdle: func(*Conn) { idle++ }}, nil, func(is *is.I, c *Conn, p *peer) {
		result := make(chan dialed, 1)
		result <- dialed{c: c}.share()
		is.Equal(c.inUse, 1)
		new(Pool).leave("", &dialing{}, result)
		is.Equal(c.inUse, 0)
		is.Equal(idle, 1)
	})
}
