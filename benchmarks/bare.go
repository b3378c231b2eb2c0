package main

import (
	"errors"
	"net"
)

// bareClient holds connections of Go's and does nothing with them: what no client holds less of whose
// connections are of package net, or of crypto/tls.
var bareClient = bare{}

type bare struct{}

func (bare) name() string { return "net.Conn, unread" }
func (bare) part() part   { return floor }

func (bare) run(target, bool, received) error { return errors.New("it reads nothing") }

// opener keeps the connections: those that nobody refers to are closed.
func (bare) opener(t target, _ received) func() (conn, error) {
	held := make(chan net.Conn, 100_000)
	return func() (conn, error) {
		c, err := dialBare(t)
		if err == nil {
			held <- c
		}
		return nil, err
	}
}
