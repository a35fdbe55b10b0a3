"""Minimum Hyperspherical Energy for Keras 3: neurons that stay diverse.

What most people need first:

- `MHE`, the regularizer, as in `Dense(64, kernel_regularizer=MHE(1.0))`.
- `regularize` puts it on a model that exists already.
- `audit` tells how diverse the neurons of each layer are, and
  `callbacks.EnergyMonitor` while a model trains.
- `layers` has classifiers with an angular margin, such as `SphereFace` and
  `ArcFace`, and `SpectralNormalization`.

`regularizers`, `constraints` and `initializers` hold other ways to diverse
neurons, `metrics` and `losses` what heads need, `analysis` and `plots` what
lies behind an audit, and `ops` the functions of tensors.
"""

from keras_mhe import (
    analysis,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    plots,
    regularizers,
)
from keras_mhe.analysis import audit, register_neurons
from keras_mhe.models import regularize, unregularize
from keras_mhe.regularizers import MHE

__version__ = "0.1.0"

__all__ = [
    "MHE",
    "__version__",
    "analysis",
    "audit",
    "callbacks",
    "constraints",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "plots",
    "register_neurons",
    "regularize",
    "regularizers",
    "unregularize",
]
