package main

import (
	"errors"
	"os"

	"golang.org/x/term"
)

// askPassword asks for a password on the terminal, without showing it. The echo is off before
// the question is asked.
func askPassword(user string) (string, error) {
	if !isTerminal(os.Stdin) {
		return "", errors.New("there is no password, and no terminal to ask for it: USER: is an empty one")
	}
	old, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return "", &otherError{err}
	}
	defer func() { _ = term.Restore(int(os.Stdin.Fd()), old) }()
	keys := &keyboard{screen: os.Stderr}
	password, err := term.NewTerminal(keys, "").ReadPassword("Password for " + printable(user) + ": ")
	if err == nil {
		return password, nil
	}
	_, _ = os.Stderr.WriteString("\r\n")
	if keys.ctrlC {
		return "", errInterrupted
	}
	return "", &credentialsError{errors.New("no password was typed")}
}
