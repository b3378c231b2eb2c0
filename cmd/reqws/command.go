package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run is the program: it returns the exit code.
func run(args []string, std stdio) int {
	var f flags
	code := exitOK
	cmd := &cobra.Command{
		Use:           "reqws [flags] URL",
		Short:         "Talk to a WebSocket: print what comes, send what is typed",
		Version:       version(),
		SilenceErrors: true, SilenceUsage: true,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.url = args[0]
			}
			f.set = cmd.Flags().Changed
			return start(&f, std)
		},
	}
	groups := f.register()
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	cmd.SetUsageFunc(func(cmd *cobra.Command) error { printHelp(cmd, groups); return nil })
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd, groups) })
	completeFlags(cmd)
	cmd.SetArgs(args)
	cmd.SetIn(std.in)
	cmd.SetOut(std.out)
	cmd.SetErr(std.err)
	if err := cmd.Execute(); err != nil {
		code = exitCode(err)
		if text := message(err); text != "" {
			fmt.Fprintln(std.err, "reqws: "+text)
		}
		if code == exitUsage {
			fmt.Fprintln(std.err, "reqws: see reqws --help")
		}
	}
	return code
}

// usageError is an error of how the program was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// group is a part of the help.
type group struct {
	name  string
	flags *pflag.FlagSet
}

const helpHead = `Talk to a WebSocket: print what comes, send what is typed, line by line.

  reqws wss://echo.example.com
  reqws --bearer @token.txt -p room=go 'wss://example.com/rooms/:room'
  echo '{"op":"ping"}' | reqws -1 --json wss://example.com/api
  reqws --aws-sigv4 execute-api:eu-west-1 -v wss://abc.execute-api.eu-west-1.amazonaws.com/prod

Ctrl-D, or Ctrl-C, closes the connection in good order; a second Ctrl-C at once. http and https URLs go the same way, and
their body is printed. A secret may be given as @FILE or env:NAME, so that it is in no list of processes.

Usage:
  reqws [flags] URL
  reqws --replay FILE
  reqws completion bash|zsh|fish|powershell
`

const helpTail = `Exit codes:
   0  all went well                       6  the proxy refused, or could not be reached
   1  anything else                       7  the server refused (an HTTP status)
   2  a flag or an argument is wrong      8  the connection was lost, or closed with an error
   3  the name was not found              9  the server broke the protocol
   4  no connection: refused, timed out  10  credentials: netrc, AWS, a file, a variable
   5  TLS: the certificate, a version   130  ended by a second Ctrl-C
`

func printHelp(cmd *cobra.Command, groups []group) {
	if cmd.HasParent() { // completion
		cmd.Print(cmd.Long, "\n\nUsage:\n  ", cmd.UseLine(), "\n")
		return
	}
	cmd.Print(helpHead)
	for _, g := range groups {
		cmd.Printf("\n%s:\n%s", g.name, g.flags.FlagUsagesWrapped(110))
	}
	cmd.Print("\n", helpTail)
}

// completeFlags says what the values of flags are.
func completeFlags(cmd *cobra.Command) {
	for name, values := range map[string][]string{
		"header":      {"Authorization:", "Cookie:", "Origin:", "User-Agent:"},
		"aws-sigv4":   {"execute-api", "iotdevicegateway", "transcribe", "kinesisvideo", "bedrock-agentcore", "neptune-db", "appsync"},
		"heartbeat":   {"20s", "20s,10s", "0"},
		"method":      {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"},
		"proxy":       {"http://", "https://", "socks5://", "socks5h://"},
		"bearer":      {"@", "env:"},
		"user":        nil,
		"subprotocol": nil, "query": nil, "path": nil,
	} {
		err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
		if err != nil {
			panic(err) // no flag of that name
		}
	}
}

// version is that of the module, as it was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

// message is what is said of an error; nothing where that has been said.
func message(err error) string {
	var silent silentError
	if errors.As(err, &silent) {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "reqws: ")
}
