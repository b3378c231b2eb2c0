package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		exit(play(role))
	}
	os.Exit(m.Run())
}

// These measure each client in each workload: the figures of the command, for
// the tools that read those of go test. Their time is the one reported as ns/op.

func BenchmarkInbound(b *testing.B)    { benchmark(b, "Inbound") }
func BenchmarkReplies(b *testing.B)    { benchmark(b, "Replies") }
func BenchmarkSenders(b *testing.B)    { benchmark(b, "Senders") }
func BenchmarkDeflateIn(b *testing.B)  { benchmark(b, "DeflateIn") }
func BenchmarkDeflateOut(b *testing.B) { benchmark(b, "DeflateOut") }
func BenchmarkHandshake(b *testing.B)  { benchmark(b, "Handshake") }

func benchmark(b *testing.B, name string) {
	s, err := startServer(serverOrder{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.stop()
	for _, w := range workloads() {
		workload, settings, _ := strings.Cut(w.bench, "/")
		if workload != name {
			continue
		}
		for _, c := range w.clients {
			b.Run(benchName(settings, w.via, c.name()), func(b *testing.B) {
				f, err := w.measure(s, plan{Least: b.N, Sends: b.N}, c)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(f.NS, "ns/op")
				b.ReportMetric(f.CPU, "cpu-ns/op")
				b.ReportMetric(f.Server, "server-cpu-ns/op")
				b.ReportMetric(f.Allocs, "allocs/op")
			})
		}
	}
}

// benchName is made of keys and values, as benchstat groups them.
func benchName(settings string, via transport, client string) string {
	name := "transport=" + string(via) + "/client=" + strings.NewReplacer(", ", "-", " ", "-").Replace(client)
	if settings == "" {
		return name
	}
	return settings + "/" + name
}

func TestEveryWorkloadRuns(t *testing.T) {
	is := is.New(t)
	var out bytes.Buffer
	p := plan{Rounds: 1, Slice: time.Millisecond, Least: 1, Sends: 500, Conns: 20, Trickle: 1, Streams: 10}
	b := &bench{plan: p, only: regexp.MustCompile(""), out: &out}
	r, err := b.run()
	is.NoErr(err)
	is.Equal(len(r.Tables), len(workloads())+2) // and the sparse ones
	for _, w := range workloads() {
		_, table, found := strings.Cut(out.String(), "### "+w.title()+"\n")
		is.True(found)
		table, _, _ = strings.Cut(table, "###")
		for _, c := range w.clients {
			is.Equal(strings.Count(table, "| "+c.name()+" |"), 1)
		}
	}
	is.Equal(len(r.Memory), 4)
	for _, m := range r.Memory {
		want := len(crowders())
		if strings.Contains(m.Workload, "after a message") {
			want-- // who reads none
		}
		is.Equal(len(m.Rows), want)
	}
}

// handled plays a client's bytes to the server and returns what it answers.
func handled(t *testing.T, path string, frames ...[]byte) string {
	is := is.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	defer l.Close()
	s := &server{idle: map[net.Conn]struct{}{}}
	go s.serve(l)
	c, err := net.Dial("tcp", l.Addr().String())
	is.NoErr(err)
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", path)
	for _, f := range frames {
		c.Write(f)
	}
	b, _ := io.ReadAll(c) // until the server closes, by reset when it refuses
	head, rest, _ := strings.Cut(string(b), "\r\n\r\n")
	is.True(strings.Contains(head, " 101 "))
	is.True(strings.Contains(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) // RFC 6455, section 1.3
	return rest
}

func TestServerJudgesReplies(t *testing.T) {
	text := func(s string) []byte { return appendFrame(nil, opText, []byte(s), true) }
	right := text(string(payload(16)))
	once := string(appendFrame(nil, opText, payload(16), false))
	closing := appendFrame(nil, opClose, []byte("\x03\xe8"), true)
	bye := "\x88\x02\x03\xe8"
	compressed := appendFrame(nil, rsv1Bit|opText, deflated(documents()[0]), true)
	for _, test := range []struct {
		name, path string
		in         [][]byte
		want       string
	}{
		{"right replies", "/burst?op=1&size=16&n=2", [][]byte{right, right, closing}, once + once + once + once + bye},
		{"wrong bytes", "/burst?op=1&size=16&n=1", [][]byte{text(strings.Repeat("x", 16)), right}, once},
		{"wrong length", "/burst?op=1&size=16&n=1", [][]byte{text("short"), right}, once},
		{"wrong type", "/burst?op=2&size=16&n=1", [][]byte{right, right}, "\x82" + once[1:]},
		{"no mask", "/burst?op=1&size=16&n=1", [][]byte{append([]byte(once), "1234"...)}, once},
		{"counted", "/count?size=16&n=2", [][]byte{right, right, right, closing}, "\x81\x04done" + bye},
		{"counted, wrong bytes", "/count?size=16&n=2", [][]byte{text("short"), right}, ""},
		{"compressed", "/count?deflate=1&n=1", [][]byte{compressed, closing}, "\x81\x04done" + bye},
		{"not compressed", "/count?deflate=1&n=1", [][]byte{text(string(documents()[0]))}, ""},
		{"idle", "/idle", [][]byte{appendFrame(nil, opPing, []byte("hi"), true), closing}, "\x8a\x02hi" + bye},
	} {
		t.Run(test.name, func(t *testing.T) {
			is := is.New(t)
			is.Equal(handled(t, test.path, test.in...), test.want)
		})
	}
}

func TestFramesComeInPieces(t *testing.T) {
	is := is.New(t)
	var sent []byte
	sizes := []int{0, 125, 126, 65535, 65536, 300_000}
	for _, n := range sizes {
		sent = appendFrame(sent, opBinary, payload(n), true)
	}
	f := &frames{r: pieces{bytes.NewReader(sent)}}
	for _, n := range sizes {
		op, data, err := f.next()
		is.NoErr(err)
		is.Equal(op, byte(opBinary))
		is.True(bytes.Equal(f.unmask(data), payload(n)))
	}
	_, _, err := f.next()
	is.Equal(err, io.EOF)
}

// pieces gives 1000 bytes at a time at most.
type pieces struct{ io.Reader }

func (r pieces) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1000)]) }

func TestDocumentsAreJSON(t *testing.T) {
	is := is.New(t)
	seen := map[string]bool{}
	for _, d := range documents() {
		is.Equal(len(d), jsonSize)
		is.True(json.Valid(d))
		seen[string(d)] = true
	}
	is.Equal(len(seen), 64)
}

func TestMeterRefusesWrongCounts(t *testing.T) {
	is := is.New(t)
	whole := newMeter(&remote{}, plan{Least: 10}, 1, 16)
	for whole.got(1, 16) {
	}
	is.NoErr(whole.check())
	is.True(whole.NS > 0)

	short := newMeter(&remote{}, plan{Least: 10}, 1, 16)
	for short.got(1, 15) {
	}
	is.True(short.check() != nil)

	early := newMeter(&remote{}, plan{Least: 10}, 1, 16)
	early.got(1, 16)
	is.True(early.check() != nil)
}
