//go:build !reqws

package main

var reqwsClient client = &library{label: "reqws", is: own, dial: dialLimit}
