// Mqtt speaks MQTT 5 over a WebSocket: the protocol by Eclipse Paho, the connection by reqws, so
// that whatever a Request can do on the way to a server (credentials, signatures, proxies,
// redirects) serves an MQTT client, too. It is a module of its own, for the sake of its
// dependencies. From its folder, with a broker of its own on loopback:
//
//	cd examples/mqtt && go run .
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/reqws/reqws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mqtt:", err)
		os.Exit(1)
	}
}

const demoToken = "demo-token"

// run publishes a few readings, and receives them as whoever subscribes does.
func run(ctx context.Context, out io.Writer) error {
	broker, err := startBroker(demoToken)
	if err != nil {
		return err
	}
	defer broker.stop()

	c, err := connect(ctx, broker.url, reqws.Auth(reqws.Bearer(demoToken)))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "connected")
	return errors.Join(talk(ctx, out, c), c.disconnect(ctx))
}

func talk(ctx context.Context, out io.Writer, c *client) error {
	if err := c.subscribe(ctx, "garden/+"); err != nil {
		return err
	}
	for i, celsius := range []string{"17.5", "18.0", "18.5"} {
		topic := fmt.Sprintf("garden/bed%d", i+1)
		fmt.Fprintln(out, "->", topic, celsius)
		if err := c.publish(ctx, topic, celsius); err != nil {
			return err
		}
		m, err := c.receive(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "<-", m.Topic, string(m.Payload))
	}
	return nil
}

// The four verbs below are the usual ones of Paho's, with what this program wants of them.

func (c *client) subscribe(ctx context.Context, topic string) error {
	_, err := c.manager.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}})
	return err
}

func (c *client) publish(ctx context.Context, topic, payload string) error {
	_, err := c.manager.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
	return err
}

func (c *client) receive(ctx context.Context) (*paho.Publish, error) {
	select {
	case m := <-c.received:
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// disconnect says goodbye in MQTT; then Paho closes the WebSocket.
func (c *client) disconnect(ctx context.Context) error {
	defer c.end(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return c.manager.Disconnect(ctx)
}
