package wire

// Next returns the next frame by itself.
func (r *Reader) Next() (Frame, bool, error) {
	var one [1]Frame
	n, err := r.Batch(one[:])
	return one[0], n == 1, err
}

// message inflates p, a whole message, which is valid until forget.
func (z *Inflate) message(p []byte, limit int, text bool) ([]byte, *Error) {
	z.forget()
	if _, _, err := z.write(p, text, limit); err != nil {
		return nil, err
	}
	data, _, err := z.finish(text, limit)
	return data, err
}
