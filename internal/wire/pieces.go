package wire

// A message that is handed over in pieces is never whole in memory. Its uncompressed bytes are lent where they
// were read to; those that are inflated as far as a buffer for reading ahead goes, which is then begun anew.

// Pieces has messages that are not whole in what was read delivered as their bytes come: in frames with More
// set on all but the last, which may be empty. A control frame between two fragments comes between two pieces,
// and a piece of text may end inside a code point. It follows Init.
func (r *Reader) Pieces() {
	r.pieces = true
	if r.inflate != nil {
		r.inflate.pieces = true
	}
}

// piece hands over what there is of the message under way, if that is to be.
func (r *Reader) piece() (Frame, bool) {
	b := r.buf
	if !b.assembling || !b.inPieces {
		return Frame{}, false
	}
	f := Frame{Op: b.op, More: true}
	if b.rsv1 {
		f.Data = r.inflate.piece()
	} else {
		f.Data = b.data[b.from:b.to:b.to]
		b.gone += len(f.Data)
		b.from, b.to = b.start, b.start
	}
	return f, len(f.Data) > 0
}
