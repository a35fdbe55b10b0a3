"""The networks that turn an image into an embedding, as published and small."""

from dataclasses import dataclass

import keras
from keras import layers


@dataclass(frozen=True)
class Stages:
    """The shape of a network.

    Attributes:
        filters: Filters of each stage, which begins by halving the image.
        residual_units: Residual units of each stage.
    """

    filters: tuple[int, ...]
    residual_units: tuple[int, ...]


#: The first two are published; `small` is for images of about 32 x 32 pixels.
NETWORKS = {
    "sphereface20": Stages((64, 128, 256, 512), (1, 2, 4, 1)),
    "sphereface4": Stages((64, 128, 256, 512), (0, 0, 0, 0)),
    "small": Stages((24, 48, 96), (0, 0, 0)),
}


def embedding_network(
    image_shape: tuple[int, int, int],
    *,
    network: str,
    embedding_size: int,
    weight_decay: float,
) -> keras.Model:
    """Builds a network of convolutions without batch normalisation.

    A stage is a 3x3 convolution of stride 2 and residual units of two 3x3
    convolutions each; every convolution is followed by a PReLU with a slope
    per channel, also before the sum of a residual unit. A dense layer
    without activation ends the network.

    Initial weights are Caffe's "xavier" (uniform, by the fan-in), in
    residual units Gaussian with deviation 0.01; PReLU slopes begin at 0.25.
    Differs from the published network: biases learn at the rate of the
    kernels, there at twice that.

    Args:
        image_shape: `(height, width, channels)`; 112 x 96 x 3 as published.
        network: One of `NETWORKS`.
        embedding_size: Length of the embedding, 512 as published.
        weight_decay: Factor of half the squared norm of kernels and PReLU
            slopes; biases have none.

    Returns:
        A functional model from pixels in [0, 255] to embeddings. Its random
        weights come from Keras' global seed.
    """
    decay = keras.regularizers.L2(weight_decay / 2.0)

    def convolution(x, filters, name, stride=1):  # type: ignore[no-untyped-def]
        is_residual = stride == 1
        x = layers.ZeroPadding2D(1, name=f"pad{name}")(x)
        x = layers.Conv2D(
            filters,
            3,
            strides=stride,
            use_bias=not is_residual,
            kernel_initializer=(
                keras.initializers.RandomNormal(stddev=0.01)
                if is_residual
                else _xavier()
            ),
            kernel_regularizer=decay,
            name=f"conv{name}",
        )(x)
        return layers.PReLU(
            alpha_initializer=keras.initializers.Constant(0.25),
            alpha_regularizer=decay,
            shared_axes=[1, 2],
            name=f"relu{name}",
        )(x)

    images = keras.Input(image_shape, name="images")
    x = layers.Rescaling(1.0 / 128.0, offset=-127.5 / 128.0)(images)
    stages = NETWORKS[network]
    for stage, (filters, units) in enumerate(
        zip(stages.filters, stages.residual_units, strict=True), start=1
    ):
        x = convolution(x, filters, f"{stage}_1", stride=2)
        for unit in range(units):
            y = convolution(x, filters, f"{stage}_{2 * unit + 2}")
            y = convolution(y, filters, f"{stage}_{2 * unit + 3}")
            x = layers.Add(name=f"sum{stage}_{2 * unit + 3}")([x, y])
    x = layers.Flatten(name="flat")(x)
    features = layers.Dense(
        embedding_size,
        kernel_initializer=_xavier(),
        kernel_regularizer=decay,
        name="features",
    )(x)
    return keras.Model(images, features, name=network)


def _xavier() -> keras.initializers.Initializer:
    """Returns Caffe's "xavier", a new one for each layer.

    An initializer of Keras gives the same numbers whenever it is used.
    """
    return keras.initializers.VarianceScaling(
        1.0, mode="fan_in", distribution="uniform"
    )
