"""Datasets that Keras downloads and caches: `keras.datasets`."""

import numpy as np

from common.dataset_types import DataError, ImageData


def load_with_keras(
    name: str, *, class_names: tuple[str, ...], advice: str
) -> ImageData:
    """Loads `keras.datasets.<name>`, from the network the first time.

    Args:
        name: Module name in `keras.datasets`, for example `"cifar10"`.
        class_names: One name per class, which Keras does not provide.
        advice: How else to get the dataset, for the error message.

    Raises:
        DataError: If the download fails, for example without a network.
    """
    import keras  # Slow, and starts a framework: only if really needed.

    source = f"keras.datasets.{name}"
    try:
        train, test = getattr(keras.datasets, name).load_data()
    # Keras raises a bare `Exception` for a failed download, and others for an
    # unusable cache. The user needs the same advice for all.
    except Exception as error:
        raise DataError(
            f"{source} could not be loaded ({type(error).__name__}: {error}). "
            f"{advice}"
        ) from error
    return ImageData(
        name=name,
        x_train=_channels_last(train[0]),
        y_train=train[1].reshape(-1).astype(np.int64),
        x_test=_channels_last(test[0]),
        y_test=test[1].reshape(-1).astype(np.int64),
        class_names=class_names,
        source=source,
    )


def _channels_last(images: np.ndarray) -> np.ndarray:
    """Adds a missing channel axis, or moves a leading one to the end."""
    if images.ndim == 3:
        return images[..., np.newaxis]
    # Keras follows the user's `image_data_format` for the CIFAR datasets.
    if images.shape[1] == 3:
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return images
