"""Tables of pairs: neurons, what a pair adds, sums tile by tile."""
