package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// A claim says which worker has a stream: an entry in the bucket of claims, changed by compare-and-swap only. Its
// revision is the fence of all that the worker does for the stream.

// claim is the entry of a stream.
type claim struct {
	Worker string `json:"worker,omitempty"` // "": nobody, it was given up in good order
	// Opening is set by a worker that gives the stream up: it has waited for the next one's turn
	// under the opening limit, so that the stream need not wait while it is closed.
	Opening bool `json:"opening,omitempty"`

	revision uint64
}

// claim makes the stream this worker's, if its claim is still as was says. A conflict is isConflict.
func (f *Fleet) claim(ctx context.Context, id, worker string, was claim) (revision uint64, err error) {
	return f.storeClaim(ctx, id, claim{Worker: worker, revision: was.revision})
}

// release gives a stream up that is held under a claim of this revision.
func (f *Fleet) release(ctx context.Context, id string, revision uint64, opening bool) error {
	_, err := f.storeClaim(ctx, id, claim{Opening: opening, revision: revision})
	return err
}

// dropClaim takes the entry of a stream away that is no more.
func (f *Fleet) dropClaim(ctx context.Context, id string, revision uint64) error {
	return f.claims.Purge(ctx, id, jetstream.LastRevision(revision))
}

func (f *Fleet) storeClaim(ctx context.Context, id string, c claim) (revision uint64, err error) {
	data, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	if c.revision == 0 {
		revision, err = f.claims.Create(ctx, id, data)
	} else {
		revision, err = f.claims.Update(ctx, id, data, c.revision)
	}
	if err != nil {
		return 0, fmt.Errorf("claim of %s: %w", id, err)
	}
	return revision, nil
}

// stillClaimed is nil while a claim of this revision stands.
func (f *Fleet) stillClaimed(ctx context.Context, id string, revision uint64) error {
	e, err := f.claims.Get(ctx, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return errFenced
	}
	if err != nil {
		return err
	}
	if e.Revision() != revision {
		return errFenced
	}
	return nil
}

// claimOf reads an entry as it came; one that does not parse is nobody's.
func claimOf(e jetstream.KeyValueEntry) claim {
	c := claim{}
	if e.Operation() == jetstream.KeyValuePut {
		_ = json.Unmarshal(e.Value(), &c)
		c.revision = e.Revision()
	}
	return c
}
