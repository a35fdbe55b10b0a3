"""Tensors of the active backend as Python numbers."""

from keras import ops


def as_float(tensor):
    """The value of a scalar tensor, also of one that takes gradients."""
    return float(ops.convert_to_numpy(tensor))


def total(losses):
    """Sum of a list of scalar tensors."""
    return sum(as_float(loss) for loss in losses)
