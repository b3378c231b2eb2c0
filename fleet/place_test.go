package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/matryer/is"
)

func streamNames(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("stream-%d", i)
	}
	return ids
}

func loads(placed map[string]string) map[string]int {
	n := map[string]int{}
	for _, to := range placed {
		n[to]++
	}
	return n
}

// moved counts the streams that are not where they were.
func moved(before, after map[string]string) int {
	n := 0
	for id, to := range after {
		if before[id] != "" && before[id] != to {
			n++
		}
	}
	return n
}

func TestPlace(t *testing.T) {
	is := is.New(t)
	ids := streamNames(1000)
	a, b, c := seat{id: "1", name: "a", capacity: 1000}, seat{id: "2", name: "b", capacity: 1000}, seat{id: "3", name: "c", capacity: 1000}

	two := place(ids, nil, []seat{a, b})
	is.Equal(loads(two)["1"]+loads(two)["2"], 1000)
	is.True(loads(two)["1"] > 400 && loads(two)["2"] > 400) // shared out

	three := place(ids, two, []seat{a, b, c})
	is.Equal(moved(two, three), loads(three)["3"]) // all that move, move to the new one
	is.True(loads(three)["3"] > 290 && loads(three)["3"] <= 334)
	is.Equal(moved(three, place(ids, three, []seat{a, b, c})), 0) // and then there is rest

	gone := map[string]string{}
	for id, to := range three {
		if to != "2" {
			gone[id] = to
		}
	}
	after := place(ids, gone, []seat{a, c})
	is.Equal(moved(gone, after), 0) // only what it had
	is.Equal(loads(after)["1"]+loads(after)["3"], 1000)

	back := seat{id: "4", name: "b", capacity: 1000} // another life of b
	again := place(ids, after, []seat{a, back, c})
	same := 0
	for id, to := range again {
		if to == "4" && three[id] == "2" {
			same++
		}
	}
	is.True(same > 290) // is given what it had

	c.leaving = true
	left := place(ids, again, []seat{a, back, c})
	is.Equal(loads(left)["3"], 0)
	is.Equal(moved(again, left), loads(again)["3"])
}

func TestPlaceByCapacity(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams int
		seats   []seat
		want    func(map[string]int) bool
	}{
		{"no worker", 3, nil, func(n map[string]int) bool { return len(n) == 0 }},
		{"only one that leaves", 3, []seat{{id: "1", name: "a", capacity: 9, leaving: true}}, func(n map[string]int) bool { return len(n) == 0 }},
		{"not enough", 10, []seat{{id: "1", name: "a", capacity: 3}, {id: "2", name: "b", capacity: 4}},
			func(n map[string]int) bool { return n["1"] == 3 && n["2"] == 4 }},
		{"just enough", 7, []seat{{id: "1", name: "a", capacity: 3}, {id: "2", name: "b", capacity: 4}},
			func(n map[string]int) bool { return n["1"] == 3 && n["2"] == 4 }},
		{"none of its own", 5, []seat{{id: "1", name: "a"}, {id: "2", name: "b", capacity: 5}},
			func(n map[string]int) bool { return n["2"] == 5 }},
		{"three times as much", 4000, []seat{{id: "1", name: "a", capacity: 3000}, {id: "2", name: "b", capacity: 9000}},
			func(n map[string]int) bool { return n["1"] > 850 && n["1"] < 1150 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			is.True(c.want(loads(place(streamNames(c.streams), nil, c.seats))))
		})
	}
}

// A stream that has to leave stays where it is while nobody has room.
func TestPlaceNobodyHasRoom(t *testing.T) {
	is := is.New(t)
	held := map[string]string{"stream-0": "1", "stream-1": "2"}
	placed := place(streamNames(2), held, []seat{{id: "1", name: "a", capacity: 1, leaving: true}, {id: "2", name: "b", capacity: 1}})
	is.Equal(placed, held)
}

// Whatever happens to workers and streams: no worker has more than its capacity, all workers compute the
// same, nobody waits while there is room, and soon all is at rest.
func TestPlaceAtRandom(t *testing.T) {
	is := is.New(t)
	r := rand.New(rand.NewPCG(1, 2))
	held := map[string]string{}
	for round := range 300 {
		var seats []seat
		for i := range r.IntN(6) {
			seats = append(seats, seat{id: fmt.Sprint(i), name: fmt.Sprint("w", i), capacity: r.IntN(80), leaving: r.IntN(5) == 0})
		}
		ids := streamNames(r.IntN(200))
		alive := map[string]string{}
		for id, at := range held {
			for _, s := range seats {
				if s.id == at {
					alive[id] = at
				}
			}
		}
		placed := place(ids, alive, seats)
		r.Shuffle(len(seats), func(i, j int) { seats[i], seats[j] = seats[j], seats[i] })
		is.Equal(placed, place(ids, alive, seats)) // in whatever order
		n := loads(placed)
		free := 0
		for _, s := range seats {
			if !s.leaving {
				is.True(n[s.id] <= s.capacity)
				free += s.capacity - n[s.id]
			}
		}
		is.True(free == 0 || len(placed) == len(ids)) // none waits while there is room
		rounds := 0
		for next := placed; ; rounds++ {
			before := next
			if next = place(ids, before, seats); moved(before, next) == 0 {
				break
			}
		}
		is.True(rounds < 3)
		if t.Failed() {
			t.Fatal("round", round)
		}
		held = placed
	}
}
