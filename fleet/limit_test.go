package fleet

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/matryer/is"
)

// In no span of Per are there more than N, whoever asks for how many and when.
func TestAllowance(t *testing.T) {
	is := is.New(t)
	a := allowance{N: 5, Per: Duration(time.Second)}
	now := time.UnixMilli(1_700_000_000_000)
	var all []time.Time
	for i := range 40 {
		times, wait := a.reserve(now, 1+i%4)
		is.True(len(times) > 0 || wait > horizon)
		all = append(all, times...)
		data, err := json.Marshal(a)
		is.NoErr(err)
		a = allowance{}
		is.NoErr(json.Unmarshal(data, &a)) // as it is in the bucket
		is.True(len(a.Opened) <= 5)
		now = now.Add(time.Duration(i*7%5) * 100 * time.Millisecond)
	}
	for i := 5; i < len(all); i++ {
		is.True(all[i].Sub(all[i-5]) >= time.Second)
	}
	is.True(len(all) > 20)
}

func TestAllowanceBeyondTheHorizon(t *testing.T) {
	is := is.New(t)
	a := allowance{N: 1, Per: Duration(time.Minute)}
	now := time.UnixMilli(1_700_000_000_000)
	times, _ := a.reserve(now, 3)
	is.Equal(times, []time.Time{now})
	times, wait := a.reserve(now.Add(time.Second), 1)
	is.Equal(len(times), 0)
	is.Equal(wait, 59*time.Second)
	is.Equal(len(a.Opened), 1) // and nothing is taken
}

func TestLimitKey(t *testing.T) {
	for _, c := range []struct{ host, key string }{
		{"Example.COM", "example.com"},
		{"[::1]", "==1"},
		{"example.com.", "example.com"},
		{"bücher.example", "b=cher.example"},
	} {
		is := is.New(t)
		key, err := limitKey(c.host)
		is.NoErr(err)
		is.Equal(key, c.key)
	}
	_, err := limitKey("")
	is.New(t).True(err != nil)
}
