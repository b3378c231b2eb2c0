package reqws

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/reqwstest"
)

// drip forwards connections to address, and what comes back byte by byte once slow is set: before
// the first of them, and once more before the second, it waits for the stream to be parked.
func drip(t *testing.T, address string, slow *atomic.Bool) (at string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(server, client) }()
		buf := make([]byte, 1000)
		for dripped := 0; ; {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if !slow.Load() {
				_, _ = client.Write(buf[:n])
				continue
			}
			for _, b := range buf[:n] {
				if dripped < 2 {
					eventually(t, "parked", func() bool { return conn.Parked() == 1 })
				}
				dripped++
				_, _ = client.Write([]byte{b})
			}
		}
	}()
	return l.Addr().String()
}

// A stream parks in the middle of a TLS record, and of what TLS says for itself, and loses nothing.
func TestParkingInsideARecord(t *testing.T) {
	for name, over := range overTLS {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			begin := make(chan struct{})
			long := strings.Repeat("a long message ", 20)
			srv := reqwstest.New(t, append([]reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Await(begin),
				reqwstest.SendText("a"), reqwstest.SendText(long), reqwstest.SendText("b"),
				reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))}, over...)...)
			var slow atomic.Bool
			at := drip(t, srv.Addr(), &slow)
			var got []string
			config := srv.TLSConfig()
			scheme, _, _ := strings.Cut(srv.URL, "://")
			resp, err := New(URL(fmt.Sprintf("%s://%s/", scheme, at)), TLSConfig(config), Into(Each(func(f Frame) Directive {
				got = append(got, f.Text())
				return Cont()
			}))).Do(t.Context())
			is.NoErr(err)
			eventually(t, "parked", func() bool { return conn.Parked() == 1 && loops() == 0 })
			slow.Store(true)
			close(begin)
			is.NoErr(resp.Wait())
			is.Equal(got, []string{"a", long, "b", ""})
			is.NoErr(srv.Wait(t.Context()))
		})
	}
}
