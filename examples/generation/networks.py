"""Generator and discriminator of SN-DCGAN, sized by the images."""

from collections.abc import Callable

import keras
from keras import layers

#: Length of the generator's input.
NOISE_SIZE = 128
#: Filters at full width, from the smallest feature map to the largest of the
#: generator; those of the discriminator are the same, backwards.
_FILTERS = (512, 256, 128, 64)

Regularizer = Callable[[], keras.regularizers.Regularizer | None]


def generator_network(
    image_shape: tuple[int, int, int], *, width: float = 1.0
) -> keras.Model:
    """Builds the generator: noise to images in [-1, 1].

    A dense layer to 4 x 4 (for 32 x 32 pixels) or 7 x 7 (28 x 28) and 512
    channels, transposed convolutions of 4 x 4 and stride 2 that double the
    image until it has its size, each with batch normalisation and ReLU, and a
    3 x 3 convolution with tanh. Dense and convolutions before a batch
    normalisation have no bias.

    Args:
        image_shape: `(height, width, channels)`, both sides equal.
        width: Factor of the numbers of filters; 1 is as published.

    Returns:
        A model from noise, shape `(128,)`, to images. Its random weights come
        from Keras' global seed.
    """
    start, doublings = _start_and_doublings(image_shape)
    filters = [_scaled(count, width) for count in _FILTERS[: doublings + 1]]
    noise = keras.Input((NOISE_SIZE,), name="noise")
    x = layers.Dense(
        start * start * filters[0],
        use_bias=False,
        kernel_initializer=_initializer(),
        name="dense",
    )(noise)
    x = layers.Reshape((start, start, filters[0]), name="grid")(x)
    x = _normalized(x, "dense")
    for index, count in enumerate(filters[1:], start=1):
        x = layers.Conv2DTranspose(
            count,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=_initializer(),
            name=f"deconv{index}",
        )(x)
        x = _normalized(x, f"deconv{index}")
    images = layers.Conv2D(
        image_shape[-1],
        3,
        padding="same",
        activation="tanh",
        kernel_initializer=_initializer(),
        name="image",
    )(x)
    return keras.Model(noise, images, name="generator")


def discriminator_network(
    image_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    regularizer: Regularizer = lambda: None,
    wrap: Callable[[layers.Layer], layers.Layer] = lambda layer: layer,
) -> keras.Model:
    """Builds the discriminator: images in [-1, 1] to logits.

    Convolutions of 3 x 3, and of 4 x 4 with stride 2 that halve the image, in
    turns until it is 4 x 4 or 7 x 7, each with leaky ReLU of slope 0.1, and a
    dense layer without bias.

    Args:
        image_shape: `(height, width, channels)`, both sides equal.
        width: Factor of the numbers of filters; 1 is as published.
        regularizer: Makes the regularizer of each kernel.
        wrap: Wraps each layer that has a kernel, for spectral normalization.

    Returns:
        A model from images to logits, shape `(1,)`.
    """
    _, doublings = _start_and_doublings(image_shape)
    filters = [
        _scaled(count, width) for count in reversed(_FILTERS[: doublings + 1])
    ]

    # Made before the wrappers, which draw from the same global seed: wrapped
    # layers begin with the weights of those that are not.
    initializers = iter([_initializer() for _ in range(2 * len(filters))])

    def convolution(count: int, size: int, stride: int, name: str):  # type: ignore[no-untyped-def]
        return wrap(
            layers.Conv2D(
                count,
                size,
                strides=stride,
                padding="same",
                kernel_initializer=next(initializers),
                kernel_regularizer=regularizer(),
                name=name,
            )
        )

    images = keras.Input(image_shape, name="images")
    x = convolution(filters[0], 3, 1, "conv0_0")(images)
    x = layers.LeakyReLU(0.1, name="relu0_0")(x)
    for index, count in enumerate(filters[1:], start=1):
        x = convolution(count, 4, 2, f"conv{index}_0")(x)
        x = layers.LeakyReLU(0.1, name=f"relu{index}_0")(x)
        x = convolution(count, 3, 1, f"conv{index}_1")(x)
        x = layers.LeakyReLU(0.1, name=f"relu{index}_1")(x)
    logits = wrap(
        layers.Dense(
            1,
            use_bias=False,
            kernel_initializer=next(initializers),
            kernel_regularizer=regularizer(),
            name="logit",
        )
    )(layers.Flatten(name="flat")(x))
    return keras.Model(images, logits, name="discriminator")


def _normalized(x, name: str):  # type: ignore[no-untyped-def]
    x = layers.BatchNormalization(
        momentum=0.9, epsilon=2e-5, name=f"{name}_bn"
    )(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _start_and_doublings(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Returns the smallest feature map's side, and how often it doubles."""
    height, width, _ = image_shape
    side, doublings = height, 0
    while side % 2 == 0 and side > 4 and doublings < len(_FILTERS) - 1:
        side, doublings = side // 2, doublings + 1
    if height != width or side > 8 or doublings == 0:
        raise ValueError(
            "Images must be square, and their side 8, 16, 28 or 32 pixels or "
            f"alike. Received: image_shape={image_shape}."
        )
    return side, doublings


def _scaled(count: int, width: float) -> int:
    return max(1, round(count * width))


def _initializer() -> keras.initializers.Initializer:
    """Returns the published one, a new one for each layer."""
    return keras.initializers.TruncatedNormal(stddev=0.02)
