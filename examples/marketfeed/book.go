package main

import (
	"fmt"
	"maps"
)

// message is what the exchange sends. A snapshot has all bids and asks, as of Seq; a delta has one
// price, and how much is offered or wanted at that from Seq on; end is the last message of a day.
type message struct {
	Type  string      `json:"type"`
	Seq   int         `json:"seq"`
	Bids  map[int]int `json:"bids,omitempty"` // size by price, in cents
	Asks  map[int]int `json:"asks,omitempty"`
	Side  string      `json:"side,omitempty"`
	Price int         `json:"price,omitempty"`
	Size  int         `json:"size,omitempty"` // 0: none any more
}

// book is an order book as of a message.
type book struct {
	seq        int
	bids, asks map[int]int
}

// newBook makes one of a snapshot.
func newBook(m message) book {
	b := book{seq: m.Seq, bids: map[int]int{}, asks: map[int]int{}}
	maps.Copy(b.bids, m.Bids)
	maps.Copy(b.asks, m.Asks)
	return b
}

func (b *book) snapshot() message {
	return message{Type: "snapshot", Seq: b.seq, Bids: b.bids, Asks: b.asks}
}

// apply takes the next delta.
func (b *book) apply(m message) {
	b.seq = m.Seq
	side := b.bids
	if m.Side == "ask" {
		side = b.asks
	}
	if m.Size == 0 {
		delete(side, m.Price)
		return
	}
	side[m.Price] = m.Size
}

// top describes the best bid and the best ask.
func (b *book) top() string {
	bid, ask := 0, 0
	for price := range b.bids {
		bid = max(bid, price)
	}
	for price := range b.asks {
		if ask == 0 || price < ask {
			ask = price
		}
	}
	return fmt.Sprintf("bid %d × %.2f  |  ask %d × %.2f", b.bids[bid], float64(bid)/100, b.asks[ask], float64(ask)/100)
}

func (b *book) equal(c book) bool {
	return b.seq == c.seq && maps.Equal(b.bids, c.bids) && maps.Equal(b.asks, c.asks)
}
