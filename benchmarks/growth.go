package main

import "io"

type growthRow struct{}

func (b *bench) grow() error { return nil }

func writeGrowth(io.Writer, []growthRow) {}

func grownProcess() error { return nil }

func raiseFileLimit() {}
