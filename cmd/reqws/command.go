package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run runs the command with its arguments, and returns its exit code.
func run(args []string) int {
	s := &settings{}
	root := command(s)
	root.SetArgs(args)
	err := root.Execute()
	if err != nil {
		fmt.Fprintln(os.Stderr, message(err))
	}
	if errors.As(err, new(*usageError)) {
		fmt.Fprintln(os.Stderr, "Try 'reqws --help'.")
	}
	return exitCode(err)
}

// command is the command line of reqws: one command, and cobra's completion.
func command(s *settings) *cobra.Command {
	root := &cobra.Command{
		Use:               "reqws [flags] URL",
		Short:             "connect to a WebSocket, print what comes, send what is typed",
		Args:              func(_ *cobra.Command, args []string) error { return s.takeURL(args) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return execute(cmd.Context(), s, cmd.Flags()) },
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	root.SetContext(context.Background())
	table := s.table()
	for _, r := range table {
		r.bind(root.Flags())
	}
	complete(root, table)
	usage := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd == root {
			fmt.Fprint(cmd.OutOrStdout(), help(table))
			return
		}
		usage(cmd, args)
	})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd.Flags(), err) })
	return root
}

// complete says which flags take the name of a file; the others take no file.
func complete(root *cobra.Command, table []row) {
	for _, r := range table {
		if r.isBool() {
			continue
		}
		if strings.Contains(r.arg, "FILE") || r.arg == "PATH" {
			continue // the shell's own completion of files
		}
		_ = root.RegisterFlagCompletionFunc(r.name, cobra.NoFileCompletions) // it fails for unknown flags alone
	}
}

// takeURL takes the one argument.
func (s *settings) takeURL(args []string) error {
	switch {
	case len(args) > 1:
		return usagef("one URL, and not %d: a message is sent with --on-open, or from stdin", len(args))
	case len(args) == 1 && s.replay != "":
		return usagef("--replay: it is a server, and connects to no URL")
	case len(args) == 0 && s.replay == "" && s.base == "":
		return usagef("a URL is missing, such as wss://example.com/feed")
	case len(args) == 1:
		s.url = args[0]
	}
	return nil
}

// flagError says what is wrong with the flags, without what was given to them: it may be a
// secret.
func flagError(known *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		return usagef("--%s: it takes %s", invalid.GetFlag().Name, kindOf(invalid.GetFlag()))
	case errors.As(err, &missing):
		return usagef("--%s: its value is missing", missing.GetFlag().Name)
	case errors.As(err, &unknown):
		return unknownFlag(known, unknown.GetSpecifiedName())
	}
	return usagef("a flag could not be read; a value that begins with - is written --flag=value")
}

func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "no value, or =true or =false"
	case "duration":
		return "a duration, such as 500ms, 10s or 1m"
	case "wait":
		return "a duration such as 10s, 0, or -1"
	}
	return "a whole number"
}

// unknownFlag suggests what may have been meant.
func unknownFlag(known *pflag.FlagSet, name string) error {
	if len(name) == 1 {
		return usagef("unknown flag -%s", name)
	}
	best, distance := "", max(2, len(name)/3)+1
	known.VisitAll(func(f *pflag.Flag) {
		d := edits(name, f.Name)
		if strings.HasPrefix(f.Name, name) {
			d = 1
		}
		if d < distance {
			best, distance = f.Name, d
		}
	})
	if best == "" {
		return usagef("unknown flag: it is not in the list of --help")
	}
	return usagef("unknown flag: did you mean --%s?", best)
}

// edits is how many letters have to be changed, added or taken out to make b of a.
func edits(a, b string) int {
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		diagonal := last[0]
		last[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, last[j], last[j+1])
			}
			diagonal, last[j+1] = last[j+1], cost
		}
	}
	return last[len(b)]
}

// version is that of the module, where the binary was built from one, else the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}
