package main

import (
	"strings"
	"testing"

	"github.com/matryer/is"
)

func TestSystemCallsAreCountedByKind(t *testing.T) {
	is := is.New(t)
	got := counted(`% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 60.00    0.120000          12     10000           read
 20.00    0.040000           4     10000       120 futex
 10.00    0.020000           2        50         1 recvfrom
  5.00    0.010000           2        10           epoll_pwait
  5.00    0.010000           2         3           madvise
------ ----------- ----------- --------- --------- ------------------
100.00    0.200000                 20063       121 total
`)
	is.Equal(got, map[string]float64{"read": 10050, "futex": 10000, "epoll_wait": 10, otherCalls: 3, allCalls: 20063})
	is.Equal(counted(""), map[string]float64{})
}

func TestSystemCallsHaveATablePerWorkload(t *testing.T) {
	is := is.New(t)
	var out strings.Builder
	writeSyscalls(&out, []syscallRow{
		{"work", overWS, "reqws", map[string]float64{"read": 1, allCalls: 1.5, otherCalls: 0.5}},
		{"work", overWS, "nbio", map[string]float64{"read": 1, allCalls: 1}},
		{"work", overWSS, "reqws", map[string]float64{"read": 1, allCalls: 1}},
	})
	is.Equal(strings.Count(out.String(), "### system calls per message or handshake: work, over ws\n"), 1)
	is.Equal(strings.Count(out.String(), "### system calls per message or handshake: work, over wss\n"), 1)
	is.True(strings.Contains(out.String(), "| reqws | 1.000 | 0.000 | 0.000 | 0.000 | 0.000 | 0.000 | 0.500 | 1.500 |\n"))
}
