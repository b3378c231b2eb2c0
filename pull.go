package reqws

import (
	"context"
	"io"
	"sync"
)

// pull keeps what has arrived for Receive.
type pull struct {
	mu     sync.Mutex
	frames []Frame
	size   int           // bytes of payload and of frames
	came   chan struct{} // has an element when there is something to receive
	taken  chan struct{} // likewise when there is room again; made when the loop first waits
	ended  bool
}

// readAhead is how many bytes a stream keeps for Receive before it stops reading.
const readAhead = 256 << 10

// frameSize is what a kept frame costs beside its payload.
const frameSize = 64

// toPull is the handler of a stream that is pulled from.
func (s *stream) toPull(in Event, _ *Response) Directive {
	p := s.pull
	p.mu.Lock()
	for p.size >= readAhead {
		if p.taken == nil {
			p.taken = make(chan struct{}, 1)
		}
		p.mu.Unlock()
		select {
		case <-p.taken:
		case <-s.link().unblock:
			return Cont()
		}
		p.mu.Lock()
	}
	frames := cloneAll(in.Frames)
	if p.frames == nil {
		p.frames = frames
	} else {
		p.frames = append(p.frames, frames...)
	}
	p.size += sizeOf(frames)
	p.wake()
	p.mu.Unlock()
	return Cont()
}

// putBack makes frames the next to be received.
func (p *pull) putBack(frames []Frame) {
	if len(frames) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(frames, p.frames...)
	p.size += sizeOf(frames)
	p.wake()
}

// sizeOf is what frames count for in the backlog.
func sizeOf(frames []Frame) int {
	n := 0
	for i := range frames {
		n += len(frames[i].Data) + frameSize
	}
	return n
}

// wake lets one receiver look. p.mu is held.
func (p *pull) wake() {
	if p.came == nil {
		p.came = make(chan struct{}, 1)
	}
	select {
	case p.came <- struct{}{}:
	default:
	}
}

func (p *pull) receive(ctx context.Context, s *stream) ([]Frame, error) {
	for {
		p.mu.Lock()
		if frames := p.frames; frames != nil {
			p.frames, p.size = nil, 0
			if p.taken != nil {
				select {
				case p.taken <- struct{}{}:
				default:
				}
			}
			p.mu.Unlock()
			return frames, nil
		}
		if p.ended {
			p.mu.Unlock()
			if s.err == nil {
				return nil, io.EOF
			}
			return nil, s.err
		}
		if p.came == nil {
			p.came = make(chan struct{}, 1)
		}
		came := p.came
		p.mu.Unlock()
		select {
		case <-came:
		case <-s.doneChan():
			p.end()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// end is called when the stream is over: nothing more will come.
func (p *pull) end() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
}
