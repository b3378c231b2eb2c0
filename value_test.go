package reqws

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
)

func pointerTo[T any](v T) *T { return &v }

// A value is written alike wherever it is given, but for a time in a header.
func TestValuesOnTheWire(t *testing.T) {
	when := time.Date(2024, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	const inURL, inHeader = "2024-01-02T03:04:05+01:00", "Tue, 02 Jan 2024 02:04:05 GMT"
	type (
		kind  uint8 // an enumeration
		name  string
		count int64
		ratio float32
		blob  []byte
	)
	id := [4]byte{'u', 'u', 'i', 'd'}
	tests := []struct {
		name   string
		v      any
		want   []string
		header []string // where it is not the same
		list   bool     // no single value, so that PathParams refuses it
	}{
		{name: "string", v: "x y", want: []string{"x y"}},
		{name: "empty string", v: "", want: []string{""}},
		{name: "own string", v: name("x"), want: []string{"x"}},
		{name: "bool", v: true, want: []string{"true"}},
		{name: "int", v: -7, want: []string{"-7"}},
		{name: "own int", v: count(1 << 62), want: []string{"4611686018427387904"}},
		{name: "uint", v: uint64(math.MaxUint64), want: []string{"18446744073709551615"}},
		{name: "byte", v: byte(7), want: []string{"7"}},

		{name: "float", v: 1.5, want: []string{"1.5"}},
		{name: "large float", v: 1.7e12, want: []string{"1700000000000"}},
		{name: "larger float", v: 1e21, want: []string{"1000000000000000000000"}},
		{name: "small float", v: 1e-7, want: []string{"0.0000001"}},
		{name: "float32", v: float32(0.1), want: []string{"0.1"}},
		{name: "own float", v: ratio(16777216), want: []string{"16777216"}},
		{name: "pointer to a float", v: pointerTo(2.5e-9), want: []string{"0.0000000025"}},
		{name: "floats", v: []float64{1e6, 1e-6}, want: []string{"1000000", "0.000001"}, list: true},

		{name: "time", v: when, want: []string{inURL}, header: []string{inHeader}},
		{name: "fraction of a second", v: when.Add(250 * time.Millisecond), want: []string{"2024-01-02T03:04:05.25+01:00"}, header: []string{inHeader}},
		{name: "pointer to a time", v: &when, want: []string{inURL}, header: []string{inHeader}},
		{name: "pointer to a pointer to a time", v: pointerTo(&when), want: []string{inURL}, header: []string{inHeader}},
		{name: "times", v: []time.Time{when, when}, want: []string{inURL, inURL}, header: []string{inHeader, inHeader}, list: true},
		{name: "pointers to times", v: []*time.Time{&when, nil}, want: []string{inURL}, header: []string{inHeader}, list: true},
		{name: "times among others", v: []any{&when, 1, when}, want: []string{inURL, "1", inURL}, header: []string{inHeader, "1", inHeader}, list: true},
		{name: "pointer to times", v: &[]*time.Time{&when}, want: []string{inURL}, header: []string{inHeader}, list: true},
		{name: "duration", v: 90 * time.Second, want: []string{"1m30s"}},
		{name: "pointer to a duration", v: pointerTo(time.Second), want: []string{"1s"}},

		{name: "bytes", v: []byte("raw"), want: []string{"raw"}},
		{name: "pointer to bytes", v: pointerTo([]byte("raw")), want: []string{"raw"}},
		{name: "JSON", v: json.RawMessage(`{"a":1}`), want: []string{`{"a":1}`}},
		{name: "own bytes", v: blob("raw"), want: []string{"raw"}},
		{name: "array of bytes", v: id, want: []string{"uuid"}},
		{name: "pointer to an array of bytes", v: &id, want: []string{"uuid"}},
		{name: "bytes that write themselves", v: net.IPv4(10, 0, 0, 1), want: []string{"10.0.0.1"}},
		{name: "slice of bytes", v: [][]byte{[]byte("a"), nil, []byte("b")}, want: []string{"a", "b"}, list: true},
		{name: "an enumeration is no text", v: []kind{1, 2}, want: []string{"1", "2"}, list: true},
		{name: "that of this package", v: []Kind{KindText, KindClose}, want: []string{"text", "close"}, list: true},

		{name: "stringer", v: stringer{"s"}, want: []string{"s"}},
		{name: "pointer to a stringer", v: &stringer{"s"}, want: []string{"s"}},
		{name: "stringers", v: []stringer{{"s"}, {"t"}}, want: []string{"s", "t"}, list: true},
		{name: "stringer by its pointer alone", v: &url.URL{Path: "/x"}, want: []string{"/x"}},
		{name: "pointer to that", v: pointerTo(big.NewInt(7)), want: []string{"7"}},
		{name: "slice of those", v: []*big.Int{big.NewInt(7), nil}, want: []string{"7"}, list: true},
		{name: "error", v: errors.New("e"), want: []string{"e"}},
		{name: "number of JSON", v: json.Number("1e9"), want: []string{"1e9"}},

		{name: "slice", v: []string{"a", "", "b"}, want: []string{"a", "", "b"}, list: true},
		{name: "array", v: [2]bool{true, false}, want: []string{"true", "false"}, list: true},
		{name: "pointers to pointers", v: []**int{pointerTo(pointerTo(1)), pointerTo((*int)(nil))}, want: []string{"1"}, list: true},
		{name: "pointer to an interface", v: pointerTo[any](pointerTo(1)), want: []string{"1"}},

		{name: "nil", list: true},
		{name: "nil pointer", v: (*int)(nil), list: true},
		{name: "nil stringer", v: (*big.Int)(nil), list: true},
		{name: "pointer to a nil pointer", v: pointerTo((*time.Time)(nil)), list: true},
		{name: "nil bytes", v: []byte(nil), list: true},
		{name: "nil slice", v: []string(nil), list: true},
		{name: "empty slice", v: []int{}, list: true},
		{name: "slice of nothing", v: []any{nil, (*int)(nil)}, list: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			opts := []Option{URL("ws://example.com/:x"), Params(map[string]any{"p": tt.v}), Param("q", tt.v), Header("x_h", tt.v)}
			single := ":x"
			if !tt.list {
				opts = append(opts, PathParams(map[string]any{"x": tt.v}))
				single = url.PathEscape(tt.want[0])
			} else {
				err := failed(t, URL("ws://example.com/:x"), PathParams(map[string]any{"x": tt.v}))
				is.True(strings.Contains(err.Error(), "option PathParams: x is "))
			}
			r := sent(t, opts...)
			path, query, _ := strings.Cut(r.RequestURI, "?")
			unescaped, err := url.PathUnescape(path)
			is.NoErr(err)
			wantPath, _ := url.PathUnescape(single)
			is.Equal(unescaped, "/"+wantPath)
			got, err := url.ParseQuery(query)
			is.NoErr(err)
			is.Equal(got["p"], tt.want)
			is.Equal(got["q"], tt.want)
			if tt.header == nil {
				tt.header = tt.want
			}
			is.Equal(strings.Join(r.Header.Values("X-H"), "\n"), strings.Join(tt.header, "\n"))
		})
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	type loop *loop
	var l loop
	l = &l
	var knot any
	knot = &knot
	for _, v := range []any{
		map[string]int{"x": 1}, func() {}, make(chan int), struct{ n int }{1}, &struct{ n int }{1}, complex(1, 2),
		[][]int{{1}}, []any{[]string{"a"}}, []func(){func() {}}, l, knot, []any{l},
	} {
		is := is.New(t)
		for _, tt := range []struct {
			opt  Option
			want string
		}{
			{Params(map[string]any{"canary": 1, "p": v}), "option Params(p): p is of the type "},
			{Param("p", v), "option Param(p): p is of the type "},
			{PathParams(map[string]any{"p": v}), "option PathParams: p is of the type "},
			{Header("x_h", v), "option Header(X-H): its value is of the type "},
		} {
			msg := failed(t, URL("ws://example.com/:p"), tt.opt).Error()
			if !strings.Contains(msg, tt.want) {
				t.Errorf("%s\n  does not hold: %s", msg, tt.want)
			}
			is.True(!strings.Contains(msg, "canary"))
		}
	}
}
