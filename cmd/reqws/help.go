package main

import (
	"fmt"
	"strings"
)

// help is the text of --help: the flags in their groups, and the exit codes.
func help(table []row) string {
	var b strings.Builder
	b.WriteString(`reqws connects to a WebSocket, prints what comes, and sends what is typed, line by line.

  reqws [flags] URL

A URL of ws or wss is a WebSocket; one of http or https makes a plain request with the same flags.
Ctrl-D and Ctrl-C close in good order (code 1000); Ctrl-C while it closes ends at once.
A secret need not stand in the command line: where SECRET is written, @FILE reads it from a file
and env:NAME from the environment.
`)
	group := ""
	for _, r := range table {
		if r.group != group {
			group = r.group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		b.WriteString(r.help())
	}
	b.WriteString("\nExit codes:\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.text)
	}
	b.WriteString(`
  reqws completion bash|zsh|fish|powershell   prints the completion of that shell
  reqws --version                             prints the version
`)
	return b.String()
}

// helpColumn is where the texts of flags begin.
const helpColumn = 36

func (r row) help() string {
	short := "    "
	if r.short != "" {
		short = "-" + r.short + ", "
	}
	head := "  " + short + "--" + r.name
	switch {
	case r.implied != "":
		head += "[=" + r.arg + "]"
	case r.arg != "":
		head += " " + r.arg
	}
	indent := strings.Repeat(" ", helpColumn)
	if len(head) > helpColumn-2 {
		head += "\n" + indent
	} else {
		head += indent[len(head):]
	}
	return head + strings.Join(wrap(r.text, 100-helpColumn), "\n"+indent) + "\n"
}

// wrap breaks a text into lines.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
