package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The fence. Whoever claims a stream writes the revision of the claim to PREFIX.fence.N.ID, in the JetStream
// stream that holds the messages, and each publish is held to the sequence of that mark by JetStream itself
// (the header Nats-Expected-Last-Subject-Sequence-Subject): a worker that was stopped in mid-publish and wakes up after
// another has claimed its stream cannot get a message in any more, whatever its clock says.

// mark is the fence as messages are held to it.
type mark struct {
	subject  []string // as they are in headers
	sequence []string
	busy     bool
}

// manyMarks is how many marks a stream has in a cluster, which checks one message at a time against each.
const manyMarks = 8

// marks returns how many marks each stream has.
func (f *Fleet) marks() int {
	if f.in.CachedInfo().Config.Replicas > 1 {
		return manyMarks
	}
	return 1
}

// raiseFence marks that a stream is held under a claim of this revision. errFenced says that it is under a later one.
func (f *Fleet) raiseFence(ctx context.Context, id string, revision uint64) ([]mark, error) {
	marks := make([]mark, f.marks())
	for i := range marks {
		subject := f.fenceSubject(i, id)
		sequence, err := f.raiseMark(ctx, subject, revision)
		if err != nil {
			return nil, err
		}
		marks[i] = mark{subject: []string{subject}, sequence: []string{strconv.FormatUint(sequence, 10)}}
	}
	return marks, nil
}

// raiseMark writes one mark, and returns its sequence. One that is there already, written by an attempt whose
// answer was lost, is as good.
func (f *Fleet) raiseMark(ctx context.Context, subject string, revision uint64) (uint64, error) {
	for {
		var last uint64
		m, err := f.in.GetLastMsgForSubject(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return 0, fmt.Errorf("fence: %w", err)
		default:
			at, _ := strconv.ParseUint(string(m.Data), 10, 64)
			if at > revision {
				return 0, errFenced
			}
			if at == revision {
				return m.Sequence, nil
			}
			last = m.Sequence
		}
		ack, err := f.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: strconv.AppendUint(nil, revision, 10)},
			jetstream.WithExpectLastSequencePerSubject(last))
		if err == nil {
			return ack.Sequence, nil
		}
		if !isWrongSequence(err) {
			return 0, fmt.Errorf("fence: %w", err)
		}
	}
}
