package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// What Deflate sends every server understands, with the window that it agreed to and no more.
func TestDeflate(t *testing.T) {
	for bits := 8; bits <= 15; bits++ {
		for _, takeover := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bits, takeover %v", bits, takeover), func(t *testing.T) {
				is := is.New(t)
				rnd := rand.New(rand.NewPCG(7, uint64(bits)))
				d := NewDeflate(params(takeover, bits))
				other := NewDeflate(params(takeover, bits))
				server := &strict{window: 1 << bits}
				var sent, packed int
				for i := range 60 {
					m := sentences(rnd, rnd.IntN(1<<rnd.IntN(17)))
					if i%10 == 0 {
						m = strings.Repeat("\x00\xff", i*100) + m
					}
					z := d.Append([]byte("before"), []byte(m))
					is.Equal(string(z[:6]), "before")
					if !takeover {
						server.out = nil
					}
					got, err := server.message(z[6:], true)
					is.NoErr(err)
					is.True(string(got) == m) // message i
					sent, packed = sent+len(m), packed+len(z)-6
					if i%3 == 0 { // two connections with one compressor
						other.Append(nil, []byte(m+"other"))
					}
				}
				is.True(packed < sent/2)
				is.True(cap(d.history) <= min(ownWindow, 1<<bits)*5/4)
				is.True(takeover == (len(d.history) > 0))
				d.Release()
			})
		}
	}
}

// Connections of all settings use the same pools, by turns and at once: each server understands its own.
func TestDeflateShares(t *testing.T) {
	type side struct {
		d        *Deflate
		server   *strict
		takeover bool
		rnd      *rand.Rand
	}
	open := func(n int) (sides []*side) {
		for bits := 8; bits <= 15; bits++ {
			for _, takeover := range []bool{true, false} {
				sides = append(sides, &side{NewDeflate(params(takeover, bits)), &strict{window: 1 << bits}, takeover, rand.New(rand.NewPCG(uint64(n), uint64(bits)))})
			}
		}
		return sides
	}
	// The next message: most are the same for all, so that each could refer to what another one sent.
	send := func(s *side) error {
		m := sentences(rand.New(rand.NewPCG(1, s.rnd.Uint64N(3))), 100+s.rnd.IntN(3000))
		switch s.rnd.IntN(20) {
		case 0:
			s.d.Append(nil, []byte("lost"+m))
			s.d.Reset()
		case 1:
			s.d.Reset()
		case 2:
			s.d.Release()
		}
		if !s.takeover {
			s.server.out = nil
		}
		got, err := s.server.message(s.d.Append(nil, []byte(m)), true)
		if err != nil || string(got) != m {
			return fmt.Errorf("window %d, takeover %v: a message of %d bytes came damaged: %v", s.server.window, s.takeover, len(m), err)
		}
		return nil
	}
	t.Run("by turns", func(t *testing.T) {
		is := is.New(t)
		rnd := rand.New(rand.NewPCG(4, 5))
		sides := append(open(1), open(2)...)
		for range 800 {
			is.NoErr(send(sides[rnd.IntN(len(sides))]))
		}
	})
	t.Run("at once", func(t *testing.T) {
		is := is.New(t)
		errs := make(chan error)
		sides := append(open(1), open(2)...)
		for _, s := range sides {
			go func() {
				for range 25 {
					if err := send(s); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range sides {
			is.NoErr(<-errs)
		}
	})
}

// Context takeover pays for messages that repeat earlier ones; other connections in between cost little of that.
func TestDeflateTakeover(t *testing.T) {
	is := is.New(t)
	m := []byte(sentences(rand.New(rand.NewPCG(9, 9)), 400))
	d, other := NewDeflate(params(true, 15)), NewDeflate(params(true, 15))
	first := len(d.Append(nil, m))
	is.True(len(d.Append(nil, m)) < first/5)
	other.Append(nil, m)
	is.True(len(d.Append(nil, m)) < first/5)
	d.Reset() // what was sent so far may be lost: nothing may refer to it
	again := d.Append(nil, m)
	got, err := (&strict{window: 1 << 15}).message(again, true)
	is.NoErr(err)
	is.True(bytes.Equal(got, m))
}

func TestDeflateEdges(t *testing.T) {
	noise := make([]byte, 300<<10)
	rnd := rand.New(rand.NewPCG(1, 9))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for _, m := range []string{"", "a", "Hello", string(noise[:100]), string(noise), strings.Repeat("a", 1<<20)} {
		is := is.New(t)
		d := NewDeflate(params(true, 15))
		server := &strict{window: 1 << 15}
		for range 3 {
			z := d.Append(nil, []byte(m))
			is.True(len(z) <= len(m)+len(m)/1000+64) // hardly grows
			got, err := server.message(z, true)
			is.NoErr(err)
			is.True(string(got) == m)
		}
	}
}

func TestDeflateAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	is := is.New(t)
	rnd := rand.New(rand.NewPCG(5, 6))
	m := []byte(sentences(rnd, 1000))
	dst := make([]byte, 0, 4096)
	for _, bits := range []int{8, 15} {
		for _, takeover := range []bool{false, true} {
			d, other := NewDeflate(params(takeover, bits)), NewDeflate(params(takeover, bits))
			run := func() { d.Append(dst, m); d.Append(dst, m); other.Append(dst, m) }
			for range 40 {
				run()
			}
			is.Equal(testing.AllocsPerRun(100, run), 0.0)
		}
	}
}

func TestDeflateOffer(t *testing.T) {
	is := is.New(t)
	is.Equal(DeflateOffer(false), "permessage-deflate; client_max_window_bits")
	is.Equal(DeflateOffer(true), "permessage-deflate; client_max_window_bits; client_no_context_takeover; server_no_context_takeover")
}

func TestParseDeflateAnswer(t *testing.T) {
	plain := DeflateParams{ClientMaxWindowBits: 15, ServerMaxWindowBits: 15}
	with := func(change func(*DeflateParams)) DeflateParams {
		p := plain
		change(&p)
		return p
	}
	for _, c := range []struct {
		in      []string
		offered bool // no context takeover
		want    DeflateParams
		none    bool
		err     string
	}{
		{in: nil, none: true},
		{in: []string{""}, none: true},
		{in: []string{" , "}, none: true},
		{in: []string{"permessage-deflate"}, want: plain},
		{in: []string{"", " permessage-deflate ,"}, want: plain},
		{in: []string{"permessage-deflate"}, offered: true, want: with(func(p *DeflateParams) { p.ClientNoContextTakeover = true })},
		{in: []string{"permessage-deflate; client_no_context_takeover"}, want: with(func(p *DeflateParams) { p.ClientNoContextTakeover = true })},
		{in: []string{"permessage-deflate;server_no_context_takeover"}, want: with(func(p *DeflateParams) { p.ServerNoContextTakeover = true })},
		{in: []string{"permessage-deflate\t; server_max_window_bits = 8"}, want: with(func(p *DeflateParams) { p.ServerMaxWindowBits = 8 })},
		{in: []string{`permessage-deflate; client_max_window_bits="10"; server_max_window_bits="1\5"`}, want: with(func(p *DeflateParams) { p.ClientMaxWindowBits = 10 })},
		{in: []string{"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=14"}, offered: true,
			want: DeflateParams{ClientNoContextTakeover: true, ServerNoContextTakeover: true, ClientMaxWindowBits: 14, ServerMaxWindowBits: 9}},

		{in: []string{"x-webkit-deflate-frame"}, err: "server accepted an extension that was not offered: x-webkit-deflate-frame"},
		{in: []string{"Permessage-Deflate"}, err: "server accepted an extension that was not offered: Permessage-Deflate"},
		{in: []string{"permessage-deflate, foo"}, err: "server accepted an extension that was not offered: foo"},
		{in: []string{"permessage-deflate", "permessage-deflate"}, err: "server accepted permessage-deflate twice"},
		{in: []string{"permessage-deflate; foo"}, err: "permessage-deflate with the unknown parameter foo"},
		{in: []string{"permessage-deflate; server_no_context_takeover; server_no_context_takeover"}, err: "permessage-deflate with the parameter server_no_context_takeover twice"},
		{in: []string{"permessage-deflate; server_no_context_takeover=1"}, err: `permessage-deflate with a value for server_no_context_takeover: "1"`},
		{in: []string{"permessage-deflate; client_no_context_takeover=true"}, err: `permessage-deflate with a value for client_no_context_takeover: "true"`},
		{in: []string{"permessage-deflate; client_max_window_bits"}, err: `permessage-deflate with a client_max_window_bits that is not 8 to 15: ""`},
		{in: []string{"permessage-deflate; server_max_window_bits=7"}, err: `permessage-deflate with a server_max_window_bits that is not 8 to 15: "7"`},
		{in: []string{"permessage-deflate; server_max_window_bits=16"}, err: `permessage-deflate with a server_max_window_bits that is not 8 to 15: "16"`},
		{in: []string{"permessage-deflate; server_max_window_bits=08"}, err: `permessage-deflate with a server_max_window_bits that is not 8 to 15: "08"`},
		{in: []string{"permessage-deflate; server_max_window_bits=-9"}, err: `permessage-deflate with a server_max_window_bits that is not 8 to 15: "-9"`},
		{in: []string{"permessage-deflate;"}, err: `malformed Sec-WebSocket-Extensions: no token at ""`},
		{in: []string{"permessage-deflate; =1"}, err: `malformed Sec-WebSocket-Extensions: no token at "=1"`},
		{in: []string{"permessage-deflate; server_max_window_bits="}, err: `malformed Sec-WebSocket-Extensions: no token at ""`},
		{in: []string{"permessage-deflate foo"}, err: `malformed Sec-WebSocket-Extensions: unexpected "foo"`},
		{in: []string{`permessage-deflate; server_max_window_bits="9`}, err: "malformed Sec-WebSocket-Extensions: a quoted value without its end"},
		{in: []string{`permessage-deflate; server_max_window_bits="9\`}, err: `malformed Sec-WebSocket-Extensions: a quoted value that is not a token: "9\\"`},
		{in: []string{`permessage-deflate; server_max_window_bits=""`}, err: "malformed Sec-WebSocket-Extensions: an empty quoted value"},
		{in: []string{`permessage-deflate; server_max_window_bits="9 "`}, err: `malformed Sec-WebSocket-Extensions: a quoted value that is not a token: "9 \""`},
		{in: []string{"\x00"}, err: `malformed Sec-WebSocket-Extensions: no token at "\x00"`},
		{in: []string{"perméssage"}, err: "server accepted an extension that was not offered: perm"},
	} {
		t.Run(fmt.Sprintf("%q", c.in), func(t *testing.T) {
			is := is.New(t)
			p, ok, err := ParseDeflateAnswer(c.in, c.offered)
			if c.err != "" {
				is.True(err != nil)
				is.Equal(err.Error(), c.err)
				is.True(!ok)
				return
			}
			is.NoErr(err)
			is.Equal(ok, !c.none)
			if ok {
				is.Equal(p, c.want)
			}
		})
	}
}

// FuzzDeflateAnswer: nothing panics, and what is accepted can be used.
func FuzzDeflateAnswer(f *testing.F) {
	f.Add("permessage-deflate; server_max_window_bits=\"1\\0\", ", false)
	f.Add("permessage-deflate; client_max_window_bits=8; server_no_context_takeover", true)
	f.Add("a;b=c, d", true)
	f.Fuzz(func(t *testing.T, value string, offered bool) {
		p, ok, err := ParseDeflateAnswer([]string{value}, offered)
		if !ok {
			return
		}
		if err != nil || !strings.Contains(value, "permessage-deflate") || offered && !p.ClientNoContextTakeover ||
			p.ClientMaxWindowBits < 8 || p.ClientMaxWindowBits > 15 || p.ServerMaxWindowBits < 8 || p.ServerMaxWindowBits > 15 {
			t.Fatalf("%+v, %v", p, err)
		}
		again, ok, err := ParseDeflateAnswer([]string{"", value, ","}, offered)
		if !ok || err != nil || again != p {
			t.Fatalf("with empty lines around it: %+v, %v", again, err)
		}
	})
}
