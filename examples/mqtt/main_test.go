package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

func TestRun(t *testing.T) {
	is := is.New(t)
	var out bytes.Buffer
	is.NoErr(run(t.Context(), &out))
	is.Equal(strings.Split(out.String(), "\n"), []string{
		"connected",
		"-> garden/bed1 17.5",
		"<- garden/bed1 17.5",
		"-> garden/bed2 18.0",
		"<- garden/bed2 18.0",
		"-> garden/bed3 18.5",
		"<- garden/bed3 18.5",
		"",
	})
}

func TestInterrupted(t *testing.T) {
	is := is.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	is.True(errors.Is(run(ctx, io.Discard), context.Canceled))
}

func TestRefused(t *testing.T) {
	is := is.New(t)
	broker, err := startBroker("right")
	is.NoErr(err)
	defer broker.stop()
	_, err = connect(t.Context(), broker.url+"?secret=hunter2", reqws.Auth(reqws.Bearer("wrong")))
	var refused *reqws.HTTPError
	is.True(errors.As(err, &refused))
	is.Equal(refused.StatusCode, 401)
	is.True(strings.HasSuffix(err.Error(), "the token is not valid"))
	is.True(!strings.Contains(err.Error(), "hunter2"))
}

func TestBadURL(t *testing.T) {
	is := is.New(t)
	_, err := connect(t.Context(), "ws://bot:hunter2#@host")
	is.True(err != nil)
	is.True(!strings.Contains(err.Error(), "hunter2"))
}

// A connection that is lost is followed by another, with credentials that were asked for anew,
// in the same session.
func TestReconnect(t *testing.T) {
	is := is.New(t)
	broker, err := startBroker("right")
	is.NoErr(err)
	defer broker.stop()
	asked := make(chan struct{}, 2)
	c, err := connect(t.Context(), broker.url, reqws.Auth(reqws.AuthFunc(func(context.Context) (reqws.Step, error) {
		asked <- struct{}{}
		return reqws.Bearer("right"), nil
	})))
	is.NoErr(err)
	<-asked
	is.NoErr(c.subscribe(t.Context(), "news"))

	broker.drop()
	<-asked // the first connection is gone, so this waits for the second:
	is.NoErr(c.manager.AwaitConnection(t.Context()))
	is.NoErr(c.publish(t.Context(), "news", "still subscribed"))
	m, err := c.receive(t.Context())
	is.NoErr(err)
	is.Equal(string(m.Payload), "still subscribed")
	is.NoErr(c.disconnect(t.Context()))
}

// A server that answers, but not in MQTT, is left.
func TestSubprotocol(t *testing.T) {
	for _, c := range []struct {
		name   string
		accept reqwstest.Step
		then   []reqwstest.Step
		ok     bool
	}{
		{"mqtt", reqwstest.Accept(reqwstest.WithSubprotocol("mqtt")),
			[]reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}, true},
		{"none", reqwstest.Accept(), []reqwstest.Step{reqwstest.ExpectGone()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{c.accept}, c.then...)...))
			u, err := url.Parse(srv.URL)
			is.NoErr(err)
			d := dialer{reqws.New(reqws.Subprotocols("mqtt"))}
			conn, err := d.attempt(t.Context(), autopaho.ClientConfig{}, u)
			is.Equal(err == nil, c.ok)
			if c.ok {
				_, safe := conn.(sync.Locker)
				is.True(safe) // or packets written at the same time get mixed up
				is.NoErr(conn.Close())
				return
			}
			is.Equal(err.Error(), `the server speaks the subprotocol "", not mqtt`)
		})
	}
}
