package main

import (
	"errors"
	"strings"

	"github.com/reqws/reqws"
)

// said is who said what.
type said struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// format is how a room writes that.
type format struct {
	read  func(reqws.Frame) (said, error)
	write func(said) (reqws.Frame, error)
}

// formats has a format for each subprotocol.
var formats = map[string]format{
	"lines.v1": {
		read: func(f reqws.Frame) (said, error) {
			from, text, ok := strings.Cut(f.Text(), ": ")
			if !ok {
				return said{}, errors.New("a line without a name")
			}
			return said{from, text}, nil
		},
		write: func(s said) (reqws.Frame, error) { return reqws.Text(s.From + ": " + s.Text), nil },
	},
	"json.v1": {
		read: func(f reqws.Frame) (s said, err error) {
			err = f.JSON(&s)
			return s, err
		},
		write: func(s said) (reqws.Frame, error) { return reqws.JSON(s) },
	},
}
