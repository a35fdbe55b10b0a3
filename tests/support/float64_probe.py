"""Evaluates every form in float64 and stores the results.

Run as `python -m support.float64_probe FILE` with `JAX_ENABLE_X64=1`.
"""

import sys

import numpy as np

from keras_mhe.functional import hyperspherical_energy
from support.forms import FEW_FORMS, FORMS
from support.gradients import value_and_grad

#: Every form, and every other branch of the energy for some of them.
PROBED = [
    *FORMS,
    *(
        {**form, **branch}
        for form in FEW_FORMS[1::4]
        for branch in (
            {"epsilon": 0.01},
            {"anchors": [0, 3, 3], "epsilon": 0.01},
            {"anchors": [1, 2]},
            {"groups": 2},
        )
    ),
]


def main(target):
    weights = np.random.default_rng(4).normal(size=(3, 6))
    results = {"weights": weights}
    for place, form in enumerate(PROBED):
        evaluation = value_and_grad(
            lambda tensor, form=form: hyperspherical_energy(tensor, **form),
            weights,
            dtype="float64",
        )
        results[f"value{place}"] = evaluation.value
        results[f"gradient{place}"] = evaluation.gradient
        results[f"dtypes{place}"] = (
            f"{evaluation.value_dtype} {evaluation.gradient_dtype}"
        )
    np.savez(target, **results)


if __name__ == "__main__":
    main(sys.argv[1])
