"""Columns of a table of pairs, and the table of their cosines.

Cosines of long columns are divided by what the same product makes of the
columns' own lengths. A backend adds up 10,000 products with an error of some
hundred epsilons, but the same one in each entry: so equal columns have a
cosine of 1. For that the tables have whole multiples of 16 rows and columns,
which all go one way through the processor.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor

#: Tables of long columns have a multiple of this many rows and columns.
MULTIPLE = 16


class Columns(NamedTuple):
    """Directions in a table, with any axes in front.

    Attributes:
        vectors: Shape `(..., dim, size)`.
        squared_norms: Shape `(..., size)`.
        counts: 1 for a column whose pairs count, or 0, shape `(..., size)`.
    """

    vectors: Tensor
    squared_norms: Tensor
    counts: Tensor

    def each(self, function: Callable[[Tensor], Tensor]) -> "Columns":
        """Returns columns of which each part is a function of these."""
        return Columns(*map(function, self))

    @property
    def size(self) -> Tensor:
        """Number of columns; a scalar tensor where it is not known."""
        return ops.shape(self.vectors)[-1]

    @property
    def are_short(self) -> bool:
        """Whether their products need no care."""
        dim = ops.shape(self.vectors)[-2]
        return isinstance(dim, int) and dim <= _numerics.SHORT

    def padded(self, size: int) -> "Columns":
        """Returns more columns, of which the last are zeros without pairs."""
        padding = size - self.size
        if padding == 0:
            return self
        return self.each(lambda part: _backend.padded(part, padding))

    def whole(self) -> "Columns":
        """Returns as many columns as a table of them needs."""
        if self.are_short or not isinstance(self.size, int):
            return self
        return self.padded(-(-self.size // MULTIPLE) * MULTIPLE)


def cosines_of(first: Tensor, second: Tensor) -> Tensor:
    """Returns the products of each column with each."""
    return _backend.matmul(first, second, transpose_first=True)


def own_scales(products: Tensor, columns: Columns) -> Tensor:
    """Returns factors that give columns their lengths in a product.

    Args:
        products: Of each column with each.
        columns: The columns.
    """
    squares = ops.diagonal(products, axis1=-2, axis2=-1)
    # What is added matters for short and empty columns only.
    ratio = (columns.squared_norms + 1e-6) / (squares + 1e-6)
    return ratio**0.5
