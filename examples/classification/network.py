"""CNN-9, the network of the published CIFAR-100 experiment."""

import keras
from keras import layers

from classification.methods import Method

#: Filters of the three blocks and of the fully connected part, at width 1.
_BLOCKS = (64, 128, 256)
_FEATURES = 256


def cnn9(
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    method: Method,
    width: float,
    weight_decay: float,
    batch_norm_momentum: float,
) -> keras.Model:
    """Builds CNN-9 with what the method does to all eleven kernels.

    Three blocks of three 3x3 convolutions, each with batch normalisation and
    ReLU, and a 2x2 max pooling after each block; a convolution over all that
    is left of the image (4x4 for 32x32 images) without activation; a 1x1
    convolution to the classes. No convolution has a bias.

    Args:
        image_shape: `(height, width, channels)`, at least 8x8.
        num_classes: Number of logits.
        method: What acts on the kernels beside the weight decay.
        width: Factor of all numbers of filters; 1 is the published network.
        weight_decay: Factor of half the squared norm of every variable,
            those of batch normalisation included, as published.
        batch_norm_momentum: Weight of the old value in the moving averages.

    Returns:
        An uncompiled functional model from pixels in [0, 255] to logits. Its
        random weights come from Keras' global seed.
    """
    decay = keras.regularizers.L2(weight_decay / 2.0)

    def convolution(
        filters: int,
        size: int,
        padding: str,
        name: str,
        is_output: bool = False,
    ) -> layers.Conv2D:
        return layers.Conv2D(
            filters,
            size,
            padding=padding,
            use_bias=False,
            name=name,
            **method.kernel_arguments(decay, output_layer=is_output),
        )

    images = keras.Input(image_shape, name="images")
    x = layers.Rescaling(1.0 / 128.0, offset=-127.5 / 128.0)(images)
    for block, filters in enumerate(_BLOCKS, start=1):
        for index in range(1, 4):
            x = convolution(
                _scaled(filters, width), 3, "same", f"conv{block}_{index}"
            )(x)
            x = layers.BatchNormalization(
                momentum=batch_norm_momentum,
                epsilon=1e-3,
                beta_regularizer=decay,
                gamma_regularizer=decay,
                name=f"norm{block}_{index}",
            )(x)
            x = layers.ReLU(name=f"relu{block}_{index}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
    x = convolution(_scaled(_FEATURES, width), x.shape[1], "valid", "features")(
        x
    )
    x = convolution(num_classes, 1, "valid", "classifier", is_output=True)(x)
    return keras.Model(images, layers.Flatten(name="logits")(x), name="cnn9")


def _scaled(filters: int, width: float) -> int:
    return max(4, round(filters * width))
