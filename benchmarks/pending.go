//go:build !reqws

package main

var reqwsClient client = &library{label: "reqws", is: own, dial: gwsClient.dial}

var reqwsHTTP1, reqwsHTTP2 = reqwsClient, reqwsClient
