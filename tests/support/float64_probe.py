"""Evaluates every form in float64 and stores the results.

Run as `python -m support.float64_probe FILE` with `JAX_ENABLE_X64=1`.
"""

import sys

import numpy as np
from support.forms import FORMS
from support.gradients import value_and_grad

from keras_mhe.functional import hyperspherical_energy


def main(target):
    weights = np.random.default_rng(4).normal(size=(4, 5))
    results = {"weights": weights}
    for place, form in enumerate(FORMS):
        evaluation = value_and_grad(
            lambda tensor, form=form: hyperspherical_energy(tensor, **form),
            weights,
            dtype="float64",
        )
        results[f"value{place}"] = evaluation.value
        results[f"gradient{place}"] = evaluation.gradient
        results["dtypes"] = (
            f"{evaluation.value_dtype} {evaluation.gradient_dtype}"
        )
    np.savez(target, **results)


if __name__ == "__main__":
    main(sys.argv[1])
