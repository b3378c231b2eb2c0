package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/reqws/reqws"
)

// client is an MQTT client that connects again by itself.
type client struct {
	manager  *autopaho.ConnectionManager
	received chan *paho.Publish
	end      context.CancelCauseFunc
}

// connect returns once the broker has accepted the client, ctx has ended, or the broker refused
// for good. The opts say how to get there: credentials, TLS, proxies.
//
// For AWS IoT Core the URL is wss://ENDPOINT.iot.REGION.amazonaws.com/mqtt, and the option
//
//	reqws.AWSSigV4(reqws.SigV4{
//		Credentials:       cfg.Credentials, // of the SDK's config.LoadDefaultConfig
//		Service:           "iotdevicegateway",
//		Region:            cfg.Region,
//		Presign:           time.Minute, // IoT Core reads the signature in the query
//		TokenAfterSigning: true,        // and wants the session token outside of it
//	})
func connect(ctx context.Context, to string, opts ...reqws.Option) (*client, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, errors.New("the broker's URL cannot be parsed")
	}
	d := dialer{reqws.New(
		reqws.Subprotocols("mqtt"), // MQTT 5, section 6.0, demands it
		// Who tries again is Paho, which then has to send its CONNECT anew.
		reqws.Retry(reqws.Never),
		// Paho's own timeout begins when the connection is open.
		reqws.ConnectTimeout(10*time.Second),
	).With(opts...)}

	life, end := context.WithCancelCause(ctx)
	c := &client{received: make(chan *paho.Publish, 16), end: end}
	c.manager, err = autopaho.NewConnection(life, autopaho.ClientConfig{
		ServerUrls:        []*url.URL{u},
		AttemptConnection: d.attempt,
		KeepAlive:         20, // seconds: MQTT's own pings, in place of the options of the group life
		// Subscriptions outlive a connection: the broker keeps the session for a minute.
		CleanStartOnInitialConnection: true,
		SessionExpiryInterval:         60,
		OnConnectError: func(err error) {
			if refused := final(err); refused != nil {
				end(refused)
			}
		},
		ClientConfig: paho.ClientConfig{
			ClientID: "reqws-example",
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(m paho.PublishReceived) (bool, error) {
					select {
					case c.received <- m.Packet:
					case <-life.Done():
					}
					return true, nil
				},
			},
		},
	})
	if err == nil {
		err = c.manager.AwaitConnection(life)
	}
	if err != nil {
		end(err)
		return nil, context.Cause(life)
	}
	return c, nil
}

// dialer opens connections for MQTT. Each attempt runs all steps of the Request: the signature
// is new, and a token of AuthFunc's is asked for again.
type dialer struct{ req *reqws.Request }

func (d dialer) attempt(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
	conn, resp, err := d.req.Dial(ctx, reqws.URL(u.String()))
	if err != nil {
		return nil, err
	}
	if resp.Subprotocol != "mqtt" {
		_ = conn.CloseNow()
		return nil, fmt.Errorf("the server speaks the subprotocol %q, not mqtt", resp.Subprotocol)
	}
	// MQTT's packets are a stream of bytes in binary messages, which is what NetConn makes of a
	// WebSocket. Its ctx is the life of the connection, and that is Paho's to end: it still sends
	// DISCONNECT when ctx has ended.
	stream := websocket.NetConn(context.WithoutCancel(ctx), conn, websocket.MessageBinary)
	// Paho writes a packet in pieces, from several goroutines: they need a lock that keeps the
	// pieces of one packet together.
	return packets.NewThreadSafeConn(stream), nil
}

// final returns the refusal that makes no sense to try again after: who is not let in with these
// credentials will not be let in with the same later. It leaves out what Paho has wrapped around
// it, which shows the URL with all that may be secret in it.
func final(err error) error {
	var refused *reqws.HTTPError
	if errors.As(err, &refused) && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden) {
		return refused
	}
	return nil
}
