"""What was done to the kernels of a model, as a table."""

from dataclasses import dataclass

from keras_mhe.analysis._table import Table, column


@dataclass(frozen=True)
class RegularizedKernel:
    """A row of `RegularizedKernels`: a kernel, and what was done to it.

    Attributes:
        layer: Name, as `NeuronKernel.name`, also of a layer that has weights
            and no kernel.
        num_neurons: Number of neurons that meet each other; `None` where there
            is no kernel yet.
        groups: Blocks of neurons that do not meet each other; `None` as for
            `num_neurons`.
        dim: Entries of each neuron; `None` as for `num_neurons`.
        done: Whether something was put there, or taken away.
        regularizer: What is there now, as in `"L2 + MHE(1)"`; empty for
            nothing.
        saved: Whether the configuration of the model carries it, so that it
            is there after saving and loading; `None` where the model has no
            configuration or nothing was done.
        note: Why nothing was done, or what to know.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> model = keras.Sequential(
        ...     [keras.Input((8,)), keras.layers.Dense(4, name="hidden")]
        ... )
        >>> row = keras_mhe.regularize(model, keras_mhe.MHE(1.0))[0]
        >>> row.layer, row.done, row.regularizer, row.saved
        ('hidden', True, 'MHE(1)', True)
    """

    layer: str = column()
    num_neurons: int | None = column()
    groups: int | None = column(usual=(1, None))
    dim: int | None = column()
    done: bool = column()
    regularizer: str = column(usual=("",))
    saved: bool | None = column()
    note: str = column(usual=("",))


class RegularizedKernels(Table[RegularizedKernel]):
    """What `regularize` or `unregularize` did; prints as a table.

    Args:
        rows: Sequence of `RegularizedKernel`.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> model = keras.Sequential(
        ...     [keras.Input((8,)), keras.layers.Dense(1, name="score")]
        ... )
        >>> print(keras_mhe.unregularize(model))
        layer  num_neurons  dim  done  saved  note
        -----  -----------  ---  ----  -----  ----------
        score            1    8  no    -      one neuron
    """

    row_class = RegularizedKernel
