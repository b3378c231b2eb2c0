package reqwstest

// For the tests of what the package does from outside.
var (
	Masked   = masked
	Memory   = memory
	Mentions = mentions
)

const Module = module

func (s Step) At() string { return s.at }
