"""Parts of the SphereFace+ program: heads, networks, training, scores."""
