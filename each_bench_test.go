package reqws

import "testing"

// What the Each family costs a frame, beside a loop over the batch.
func BenchmarkEach(b *testing.B) {
	frames := make([]Frame, mostFrames)
	for i := range frames {
		frames[i] = Text("1.62499999999999")
	}
	for _, bm := range []struct {
		name    string
		handler Handler
	}{
		{"handler=batch/answer=none", func(in Event, _ *Response) Directive {
			n := 0
			for _, f := range in.Frames {
				n += len(f.Data)
			}
			if n == 0 {
				return Halt()
			}
			return Cont()
		}},
		{"handler=Each/answer=none", Each(func(Frame) Directive { return Cont() })},
		{"handler=Each/answer=one", Each(func(f Frame) Directive { return Cont(Text(f.Data)) })},
		{"handler=EachWith/answer=none", EachWith(func(Frame, *Response) Directive { return Cont() })},
		{"handler=EachWith/answer=one", EachWith(func(f Frame, _ *Response) Directive { return Cont(Text(f.Data)) })},
		{"handler=EachJSON/answer=none", EachJSON(func(float64, *Response) Directive { return Cont() })},
		{"handler=json/answer=none", func(in Event, _ *Response) Directive { // what EachJSON cannot do without
			for _, f := range in.Frames {
				var v float64
				if f.JSON(&v) != nil {
					return Halt()
				}
			}
			return Cont()
		}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			s := &stream{}
			s.borrow()
			defer s.giveBack()
			resp := &Response{s: s}
			s.at.Store(&link{resp: resp})
			for n := 0; n < b.N; n += len(frames) {
				if d := bm.handler(Event{Frames: frames}, resp); d.Halts() {
					b.Fatal("halted")
				}
				s.batch.reset()
			}
		})
	}
}
