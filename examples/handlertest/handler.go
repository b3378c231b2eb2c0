package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/reqws/reqws"
)

// errPrice is what the bot fails with where it does not understand a price: it would rather
// stop than miss one.
var errPrice = errors.New("not a price")

// alerts is a bot that is told prices, one in each text message, such as "ACME 101.50", and
// answers when one rises above its limit. It has state, which one goroutine touches: that of
// the stream, which calls the handler. Make one for each stream.
type alerts struct {
	limits map[string]float64
	above  map[string]bool // of which an alert was sent
	each   reqws.Handler
}

func newAlerts(limits map[string]float64) *alerts {
	a := &alerts{limits: limits, above: make(map[string]bool)}
	a.each = reqws.Each(a.frame)
	return a
}

// handle is the handler for Into. It is told of a break, which one made by Each is not: what
// the bot has missed meanwhile is worth another alert.
func (a *alerts) handle(in reqws.Event, resp *reqws.Response) reqws.Directive {
	if in.Err != nil {
		clear(a.above)
		return reqws.Cont() // with Reconnect there will be another connection
	}
	return a.each(in, resp)
}

// frame answers one frame. Pings need no answer of the bot's: the library gives it.
func (a *alerts) frame(f reqws.Frame) reqws.Directive {
	switch {
	case f.Kind != reqws.KindText:
		return reqws.Cont()
	case f.Text() == "closed":
		return reqws.Halt(reqws.Text("good night"))
	}
	symbol, price, err := parse(f.Text())
	if err != nil {
		return reqws.Fail(err, reqws.Close(1008, "not a price"))
	}
	return a.price(symbol, price)
}

// price answers with an alert if the limit is crossed upwards.
func (a *alerts) price(symbol string, price float64) reqws.Directive {
	limit, watched := a.limits[symbol]
	if !watched {
		return reqws.Cont()
	}
	before := a.above[symbol]
	a.above[symbol] = price > limit
	if before || price <= limit {
		return reqws.Cont()
	}
	return reqws.Cont(reqws.Text(fmt.Sprintf("%s is above %g", symbol, limit)))
}

func parse(text string) (symbol string, price float64, err error) {
	symbol, number, _ := strings.Cut(text, " ")
	price, err = strconv.ParseFloat(number, 64)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %q", errPrice, text)
	}
	return symbol, price, nil
}
