package main

import "io"

type syscallRow struct{}

func (b *bench) systemCalls() error { return nil }

func writeSyscalls(io.Writer, []syscallRow) {}
