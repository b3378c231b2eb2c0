package wire

// Next returns the next frame by itself.
func (r *Reader) Next() (Frame, bool, error) {
	var one [1]Frame
	n, err := r.Batch(one[:])
	return one[0], n == 1, err
}
