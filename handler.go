package reqws

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/coder/websocket"
)

// Kind says what a [Frame] is.
type Kind uint8

// Those that are on the wire have the value of their opcode (RFC 6455, section 11.8).
const (
	KindText   Kind = 0x1 // a whole text message, valid UTF-8; with Pieces it may be a piece of one
	KindBinary Kind = 0x2 // a whole binary message, or such a piece
	KindClose  Kind = 0x8
	KindPing   Kind = 0x9
	KindPong   Kind = 0xa
	KindChunk  Kind = 0x10 // a piece of the body of a plain HTTP answer
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case 0:
		return "invalid"
	case KindText:
		return "text"
	case KindBinary:
		return "binary"
	case KindClose:
		return "close"
	case KindPing:
		return "ping"
	case KindPong:
		return "pong"
	case KindChunk:
		return "chunk"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Frame is one message or control frame (RFC 6455, section 5), in or out.
//
// Of a frame that a handler gets, Data is valid until the handler returns;
// [Frame.Clone] keeps it. Of a frame that is sent, Data is only read, and not
// after Send returned or the frame, given as a reply, was written.
type Frame struct {
	Kind Kind
	More bool                 // a piece of a message, which goes on: see [Pieces]
	Data []byte               // the payload; the reason of a KindClose
	Code websocket.StatusCode // of a KindClose; 0 where the frame has none
}

// bytesOf views a string or byte slice as bytes, without a copy: nobody here
// writes to the payload of a frame.
func bytesOf[P ~string | ~[]byte](p P) []byte {
	if len(p) == 0 {
		return nil
	}
	// A string header and a slice header both begin with the data pointer.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), len(p))
}

// Text makes a text message, which must be valid UTF-8. Like [Binary], [Ping] and
// [Pong] it does not copy p: the frame's Data must not be written to.
func Text[P ~string | ~[]byte](p P) Frame { return Frame{Kind: KindText, Data: bytesOf(p)} }

// Binary makes a binary message.
func Binary[P ~string | ~[]byte](p P) Frame { return Frame{Kind: KindBinary, Data: bytesOf(p)} }

// Ping makes a ping of at most 125 bytes; Ping("") is the bare one.
func Ping[P ~string | ~[]byte](p P) Frame { return Frame{Kind: KindPing, Data: bytesOf(p)} }

// Pong makes a pong of at most 125 bytes. It answers the ping that had the same
// payload.
func Pong[P ~string | ~[]byte](p P) Frame { return Frame{Kind: KindPong, Data: bytesOf(p)} }

// Close makes a close frame with a status code that may be sent (RFC 6455,
// section 7.4) and a reason of at most 123 bytes of UTF-8. Close(0, "") is one without a
// code.
func Close(code websocket.StatusCode, reason string) Frame {
	return Frame{Kind: KindClose, Data: bytesOf(reason), Code: code}
}

// JSON makes a text message of v as encoding/json writes it.
func JSON(v any) (Frame, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Frame{}, fmt.Errorf("reqws: JSON frame: %w", err)
	}
	return Frame{Kind: KindText, Data: data}, nil
}

// Text returns the payload as a string of its own.
func (f Frame) Text() string { return string(f.Data) }

// Clone returns f with a copy of its Data, which the caller owns.
func (f Frame) Clone() Frame {
	f.Data = slices.Clone(f.Data)
	return f
}

// JSON decodes the payload into v as encoding/json does. A frame with More is not whole, which is
// an error.
func (f Frame) JSON(v any) error {
	if f.More {
		return fmt.Errorf("reqws: %s frame as JSON: %w", f.Kind, errPiece)
	}
	if err := json.Unmarshal(f.Data, v); err != nil {
		return fmt.Errorf("reqws: %s frame as JSON: %w", f.Kind, err)
	}
	return nil
}

// shownBytes is how much of a payload [Frame.String] shows.
const shownBytes = 64

// String describes the frame for people: its kind, and the start of its payload. One with More is a
// piece.
func (f Frame) String() string {
	kind := f.Kind.String()
	if f.Kind == KindClose && f.Code != 0 {
		kind = fmt.Sprintf("close %d", int(f.Code))
	}
	if f.More {
		kind += " piece"
	}
	if len(f.Data) == 0 {
		return kind
	}
	shown, more := f.Data, ""
	if len(shown) > shownBytes {
		shown = shown[:shownBytes]
		for len(shown) > 0 && !utf8.RuneStart(f.Data[len(shown)]) && utf8.Valid(f.Data) {
			shown = shown[:len(shown)-1]
		}
		more = fmt.Sprintf("… (%d bytes)", len(f.Data))
	}
	return fmt.Sprintf("%s %q%s", kind, shown, more)
}

// Event is what a [Handler] gets: a batch of frames, or why the stream ended.
type Event struct {
	// Frames holds what has arrived together, in order, one frame at least where
	// Err is nil. The slice and the Data in it are valid until the handler returns.
	Frames []Frame
	// Err says why the stream ended. Then there are no Frames, and nothing comes
	// after it, whatever the handler answers; an answer of [Fail] gives Run and Wait another
	// error. A clean end has no such event, nor has one that the handler began with [Halt]
	// or Fail. With [Reconnect] it says why a connection ended, and [Cont] goes on with another.
	Err error
}

// Handler is called by one goroutine, with each batch of frames as it arrives.
// Its answer says whether to go on, and what to send back. It may be called before Do
// has returned, and therefore uses the Response that it is given. A test may call it by itself, with
// a Response that is nil if the handler does not use it.
//
// A panic in it closes the connection and goes on up: to the caller of Run, or,
// after Do, to the top of the stream's goroutine.
type Handler func(in Event, resp *Response) Directive

// Directive is a handler's answer, made by [Cont], [Halt] and [Fail]. The zero value is
// Cont().
type Directive struct {
	// Four words, which the compiler keeps in registers: with one more each answer would be
	// written to the stack and copied there. The first reply is held in them, so that a single
	// one needs no allocation; there is none where head has no Kind.
	head uint64 // the first reply's Kind, and the bits below; above codeShift its Code
	data *byte
	size int
	more *more
}

// In a Directive's head.
const (
	kindBits  = 0xff
	moreBit   = 1 << 8 // the first reply's More
	haltBit   = 1 << 9
	codeShift = 32
)

// more is what few directives have.
type more struct {
	frames []Frame // the replies behind the first
	err    error   // of Fail
}

// Cont goes on, after replies have been sent in order and in one write.
func Cont(replies ...Frame) Directive {
	if len(replies) == 0 {
		return Directive{} // known where Cont is called, for the compiler to make nothing of it
	}
	return directive(false, replies)
}

// Halt ends the stream: replies are sent, then a close frame with code 1000
// unless they hold one, then the peer's close is waited for up to [CloseTimeout]. The handler
// is not called again. Replies that could not be written, and a close frame that the peer did
// not answer with one, are the stream's error.
func Halt(replies ...Frame) Directive { return directive(true, replies) }

// Fail ends the stream as [Halt] does, but with close code 1011 unless replies hold a close
// frame, and with err for its error: Run and Wait return it. err is not sent to the peer.
func Fail(err error, replies ...Frame) Directive {
	if err == nil {
		err = errFailed
	}
	d := directive(true, replies)
	if d.more == nil {
		d.more = &more{}
	}
	d.more.err = err
	return d
}

// errFailed is what Fail(nil) fails with.
var errFailed = errors.New("the handler failed without an error")

func directive(halt bool, replies []Frame) Directive {
	var d Directive
	if halt {
		d.head = haltBit
	}
	if len(replies) == 0 {
		return d
	}
	// A Code that does not fit is an error of the user's, and takes the longer way there.
	if f := &replies[0]; f.Kind != 0 && uint64(f.Code)>>32 == 0 {
		d.head |= uint64(f.Kind) | uint64(f.Code)<<codeShift
		if f.More {
			d.head |= moreBit
		}
		d.data, d.size = unsafe.SliceData(f.Data), len(f.Data)
		if len(replies) == 1 {
			return d
		}
		replies = replies[1:]
	}
	// A copy, so that the variadic slice can stay on the caller's stack.
	d.more = &more{frames: append(make([]Frame, 0, len(replies)), replies...)}
	return d
}

// first says whether there is a first reply in d itself, and writes it to f, field by field: a
// Frame that was put together elsewhere would be copied in words of 16 bytes, which stall on one
// that was just written in words of 8.
func (d Directive) first(f *Frame) bool {
	if d.head&kindBits == 0 {
		return false
	}
	f.Kind, f.More = Kind(d.head), d.head&moreBit != 0
	f.Data, f.Code = unsafe.Slice(d.data, d.size), websocket.StatusCode(d.head>>codeShift)
	return true
}

// Replies returns the frames that the directive sends, for tests of a handler. They do not
// hold the close frame that Halt and Fail add.
func (d Directive) Replies() []Frame { return d.appendTo(nil) }

// Halts reports whether the directive is one of [Halt] or [Fail].
func (d Directive) Halts() bool { return d.head&haltBit != 0 }

// Err returns the error of [Fail], nil for the others.
func (d Directive) Err() error {
	if d.more == nil {
		return nil
	}
	return d.more.err
}

// String describes the directive for people.
func (d Directive) String() string {
	name, parts := "cont", []string(nil)
	if d.Halts() {
		name = "halt"
	}
	if err := d.Err(); err != nil {
		name, parts = "fail", append(parts, err.Error())
	}
	for _, f := range d.Replies() {
		parts = append(parts, f.String())
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}

// rest returns the replies behind the first.
func (d Directive) rest() []Frame {
	if d.more == nil {
		return nil
	}
	return d.more.frames
}

// appendTo appends the directive's replies to dst.
func (d Directive) appendTo(dst []Frame) []Frame {
	if d.head&kindBits != 0 {
		dst = append(dst, Frame{})
		d.first(&dst[len(dst)-1])
	}
	return append(dst, d.rest()...)
}

// replies reports whether there are any.
func (d Directive) replies() bool { return d.head&kindBits != 0 || len(d.rest()) > 0 }

// ends reports whether nothing may follow: d halts, or its last reply is a close
// frame.
func (d Directive) ends() bool {
	last := Kind(d.head)
	if rest := d.rest(); len(rest) > 0 {
		last = rest[len(rest)-1].Kind
	}
	return d.Halts() || last == KindClose
}
