"""Which kernels of a layer `SpectralNormalization` divides by their norms."""

from typing import Any

from keras_mhe._neurons.registry import KernelAxes, kernel_axes
from keras_mhe._typing import KerasObject
from keras_mhe._validation import axes_of_rank, check_axes


def checked_kernels(kernels: Any) -> dict[str, int | tuple[int, ...]]:
    """Returns the axes of kernels as given to `SpectralNormalization`."""
    is_named = isinstance(kernels, dict) and kernels
    if not is_named or not all(isinstance(path, str) for path in kernels):
        raise ValueError(
            "`kernels` must be a dictionary from attributes of the layer to "
            f"axes, such as {{'kernel': -1}}. Received: kernels={kernels!r}."
        )
    return {
        path: check_axes(axis, f"kernels[{path!r}]")
        for path, axis in kernels.items()
    }


def kernels_to_normalize(
    layer: KerasObject, kernels: dict[str, int | tuple[int, ...]] | None
) -> list[KernelAxes]:
    """Finds the kernels of a built layer, or checks that it has those named.

    Args:
        layer: The layer.
        kernels: What `checked_kernels` returned, or `None` for the kernels
            of a known layer, of a recurrent one that of the inputs only.
    """
    if kernels is None:
        found = [
            axes
            for axes in kernel_axes(layer)
            if not axes.path.endswith("recurrent_kernel")
        ]
        if not found:
            raise ValueError(
                "`kernels` must name the kernels of a "
                f"{type(layer).__name__} layer, for example "
                "kernels={'kernel': -1}. Received: kernels=None."
            )
        return found
    found = [KernelAxes(*item) for item in kernels.items()]
    for axes in found:
        try:
            shape = axes.variable(layer).shape
        except AttributeError as error:
            raise ValueError(
                "`kernels` must name weights of the wrapped layer. "
                f"Received: {axes.path!r} for a "
                f"{type(layer).__name__} layer."
            ) from error
        axes_of_rank(axes.neuron_axis, shape, f"kernels[{axes.path!r}]")
    if len({id(axes.variable(layer)) for axes in found}) < len(found):
        raise ValueError(
            "`kernels` must name each kernel once. "
            f"Received: kernels={kernels}."
        )
    return found
