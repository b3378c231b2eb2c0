package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Spec is one stream of the fleet, as its entry in the bucket of specs says it in JSON. All strings but URL
// and ID may hold references to secrets, as "${secret:NAME}": a worker asks [WorkerConfig.Secret] for
// them when it connects, and they are stored nowhere.
type Spec struct {
	// ID is the entry's key, and the end of the subjects PREFIX.in.ID and PREFIX.out.ID: letters, digits
	// and _ - = / with single dots between them.
	ID string `json:"-"`

	// URL is a ws or wss URL, with path parameters as ":name". Userinfo has no place in it: use a header.
	URL        string         `json:"url"`
	PathParams map[string]any `json:"path_params,omitempty"`
	Params     map[string]any `json:"params,omitempty"` // of the query: strings, numbers, booleans
	Headers    map[string]any `json:"headers,omitempty"`

	Subprotocols []string `json:"subprotocols,omitempty"`

	// OnOpen are text messages that are sent on each open, in order, before anything else.
	OnOpen []string `json:"on_open,omitempty"`

	Limits Limits `json:"limits,omitzero"`

	Compression bool `json:"compression,omitempty"` // offer permessage-deflate (RFC 7692)
}

// Limits bound one stream. Durations are written as "20s".
type Limits struct {
	// MaxMessageSize is the most bytes of a message that comes in; the default, and the most, is what a
	// NATS message holds. A larger one ends the connection with close code 1009.
	MaxMessageSize int64 `json:"max_message_size,omitempty"`

	// Heartbeat and HeartbeatTimeout are those of [reqws.Heartbeat]; "0s" for Heartbeat switches it off.
	Heartbeat        *Duration `json:"heartbeat,omitempty"`
	HeartbeatTimeout *Duration `json:"heartbeat_timeout,omitempty"`

	ConnectTimeout Duration `json:"connect_timeout,omitempty"`
}

// Duration is a time.Duration that JSON has as "1m30s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err == nil && parsed < 0 {
		err = fmt.Errorf("%s is negative", text)
	}
	*d = Duration(parsed)
	return err
}

// parseSpec reads an entry. A field that is not known is an error: it is a misspelt one more often than not.
func parseSpec(id string, data []byte) (Spec, error) {
	s := Spec{ID: id}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	d.UseNumber() // a large number is to leave as it was written
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("the spec does not parse: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return s, errors.New("the spec does not parse: something follows the JSON object")
	}
	return s, s.check()
}

// check looks for what no attempt to connect could mend.
func (s *Spec) check() error {
	if err := checkID(s.ID); err != nil {
		return err
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return errors.New("the url does not parse")
	case u.Scheme != "ws" && u.Scheme != "wss":
		return fmt.Errorf("the url has the scheme %q, not ws or wss", u.Scheme)
	case u.Hostname() == "":
		return errors.New("the url has no host")
	case u.User != nil:
		return errors.New("the url has userinfo: a credential goes into a header, by reference")
	case u.Fragment != "":
		return errors.New("the url has a fragment")
	case strings.Contains(s.URL, secretOpens):
		return errors.New("the url has a reference to a secret: use a path parameter or params")
	case s.Limits.MaxMessageSize < 0:
		return errors.New("limits.max_message_size is negative")
	}
	for _, values := range []struct {
		field string
		m     map[string]any
	}{{"path_params", s.PathParams}, {"params", s.Params}, {"headers", s.Headers}} {
		for name, v := range values.m {
			if err := checkValue(v); err != nil {
				return fmt.Errorf("%s: %s: %w", values.field, name, err)
			}
		}
	}
	return nil
}

// checkValue lets pass what a parameter or a header can be made of.
func checkValue(v any) error {
	switch v := v.(type) {
	case string:
		_, err := references(v)
		return err
	case nil, bool, json.Number, float64, int, int64:
		return nil
	}
	return fmt.Errorf("a %T is no value: strings, numbers and booleans are", v)
}

// host is what the opening limits count by.
func (s *Spec) host() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// Put adds the stream s, or changes it: the worker that holds it closes the connection and opens another one as s
// has it. What is as it was is left alone.
func (f *Fleet) Put(ctx context.Context, s Spec) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("fleet: spec %s: %w", s.ID, err)
	}
	if _, err := parseSpec(s.ID, data); err != nil {
		return fmt.Errorf("fleet: spec %s: %w", s.ID, err)
	}
	if old, err := f.specs.Get(ctx, s.ID); err == nil && bytes.Equal(old.Value(), data) {
		return nil
	}
	if _, err := f.specs.Put(ctx, s.ID, data); err != nil {
		return fmt.Errorf("fleet: spec %s: %w", s.ID, err)
	}
	return nil
}

// Remove takes a stream out of the fleet: its worker closes it. What waits to go out on it stays until it
// is too old. Removing one that is not there is no error.
func (f *Fleet) Remove(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if err := f.specs.Purge(ctx, id); err != nil {
		return fmt.Errorf("fleet: spec %s: %w", id, err)
	}
	return nil
}

// Spec returns a stream as it was put. Its error is jetstream.ErrKeyNotFound where there is none.
func (f *Fleet) Spec(ctx context.Context, id string) (Spec, error) {
	if err := checkID(id); err != nil {
		return Spec{}, err
	}
	e, err := f.specs.Get(ctx, id)
	if err != nil {
		return Spec{}, fmt.Errorf("fleet: spec %s: %w", id, err)
	}
	s, err := parseSpec(id, e.Value())
	if err != nil {
		err = fmt.Errorf("fleet: spec %s: %w", id, err)
	}
	return s, err
}

// IDs returns the streams of the fleet, those with a bad spec included, in no order.
func (f *Fleet) IDs(ctx context.Context) ([]string, error) {
	ids, err := f.specs.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	return ids, err
}
