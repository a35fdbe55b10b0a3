"""Which weights of a layer are neurons, and where a model has them."""
