package feed

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws/fleet"
)

// Received reads all that has come in to the fleet "fleet", in the order in which it was stored.
func Received(ctx context.Context, js jetstream.JetStream, f *fleet.Fleet) ([]fleet.In, error) {
	c, err := js.OrderedConsumer(ctx, "fleet_in", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"fleet.in.>"}})
	if err != nil {
		return nil, err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return nil, err
	}
	it, err := c.Messages()
	if err != nil {
		return nil, err
	}
	defer it.Stop()
	all := make([]fleet.In, 0, info.NumPending)
	for range info.NumPending {
		m, err := it.Next()
		if err != nil {
			return nil, err
		}
		in, err := f.ParseIn(m)
		if err != nil {
			return nil, err
		}
		all = append(all, in)
	}
	return all, nil
}
