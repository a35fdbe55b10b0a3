"""What a model has compiled, and how to have it compiled anew."""

from keras_mhe._typing import KerasObject


def compile_anew(model: KerasObject) -> None:
    """Lets a model trace its steps again, where it has done so before.

    TensorFlow and JAX keep the numbers of regularizers in their compiled
    steps. Without an effect on a model that has not been trained yet.
    """
    if model.train_function is not None:
        model.make_train_function(force=True)
    # Made again where it is needed.
    model.test_function = None
