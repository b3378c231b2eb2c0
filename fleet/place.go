package fleet

import (
	"math"
	"slices"
	"strings"
)

// Which worker each stream belongs to. All workers compute it from the same entries, and nobody is asked: where
// two do not see the same yet, the claim decides (see claim.go).

// seat is a worker that streams can be given to.
type seat struct {
	id       string // of the worker, one life long
	name     string // what the ranking goes by: a worker that comes back is given what it had
	capacity int
	leaving  bool // it gives up its streams, and takes none
}

// place returns the worker of each stream, "" where no capacity is left. held says which worker
// has it now, if that is alive. A stream moves only
//   - from a worker that leaves, or has more than its capacity;
//   - to a worker that has less than its share, if that is the first in the stream's ranking, from one
//     that has more than its share: so one that joins is given streams, once.
//
// The others go to the first worker of their ranking that has room.
func place(ids []string, held map[string]string, seats []seat) map[string]string {
	p := newPlan(seats)
	ids = slices.Clone(ids)
	slices.SortFunc(ids, strings.Compare)
	var homeless []string
	for _, id := range ids {
		if at := p.seat(held[id]); at == nil || at.leaving || at.load >= at.capacity {
			homeless = append(homeless, id)
		} else {
			at.load++
			p.placed[id] = at.id
		}
	}
	p.share(len(ids))
	for _, id := range ids {
		p.balance(id)
	}
	for _, id := range homeless {
		p.settle(id, held[id])
	}
	return p.placed
}

// plan is a placement in the making.
type plan struct {
	seats  []*taken
	byID   map[string]*taken
	placed map[string]string
}

// taken is a seat and how much of it is taken.
type taken struct {
	seat
	load, share int
}

func newPlan(seats []seat) *plan {
	p := &plan{byID: map[string]*taken{}, placed: map[string]string{}}
	for _, s := range seats {
		t := &taken{seat: s}
		p.byID[s.id] = t
		p.seats = append(p.seats, t)
	}
	// Of two lives of one worker that are both alive for a while, all must choose the same one.
	slices.SortFunc(p.seats, func(a, b *taken) int { return strings.Compare(a.id, b.id) })
	return p
}

func (p *plan) seat(id string) *taken { return p.byID[id] }

// share computes how many streams each worker has if they are spread as the capacities are.
func (p *plan) share(streams int) {
	total := 0
	for _, s := range p.seats {
		if !s.leaving {
			total += s.capacity
		}
	}
	for _, s := range p.seats {
		if !s.leaving && total > 0 {
			s.share = min(s.capacity, (streams*s.capacity+total-1)/total)
		}
	}
}

// balance moves a stream to the first worker of its ranking where that has too few: a tenth less than its
// share is not too few, since each move is a connection closed and another one opened.
func (p *plan) balance(id string) {
	from := p.seat(p.placed[id])
	if from == nil || from.load <= from.share {
		return
	}
	first := p.best(id, anyone)
	if first != nil && first != from && first.load < first.share-first.share/10 {
		from.load--
		first.load++
		p.placed[id] = first.id
	}
}

// settle finds a place for a stream that has none, or must leave its own: then it stays there until
// somebody has room.
func (p *plan) settle(id, held string) {
	to := p.best(id, func(s *taken) bool { return s.load < s.capacity })
	if to == nil {
		if s := p.seat(held); s != nil && s.leaving {
			p.placed[id] = s.id
		}
		return
	}
	to.load++
	p.placed[id] = to.id
}

func anyone(*taken) bool { return true }

// best is the first worker in the ranking of a stream among those that can take it.
func (p *plan) best(id string, can func(*taken) bool) *taken {
	var first *taken
	highest := math.Inf(-1)
	for _, s := range p.seats {
		if s.leaving || s.capacity <= 0 || !can(s) {
			continue
		}
		if r := rank(s.name, id, s.capacity); r > highest {
			first, highest = s, r
		}
	}
	return first
}

// rank is the weight of a worker for a stream (weighted rendezvous hashing): the highest has it. Whoever
// joins or goes changes nothing in the order of the others.
func rank(name, id string, capacity int) float64 {
	u := (float64(hash(name, id)>>11) + 0.5) / (1 << 53) // in (0, 1)
	return -float64(capacity) / math.Log(u)
}

// hash is FNV-1a over both, and then mixed, since FNV's high bits change little with the last letters.
func hash(name, id string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range []string{name, "\x00", id} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
