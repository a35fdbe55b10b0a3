"""Evaluates margins at float64 cosines and stores the results.

Run as `python -m support.float64_margins SOURCE TARGET` with
`JAX_ENABLE_X64=1`. The source is JSON, a list of a function's name, its
argument and angles; the target an NPZ file with an array for each.
"""

import json
import sys
from pathlib import Path

import numpy as np
from keras import ops

from keras_mhe import functional


def main(source, target):
    results = [
        ops.convert_to_numpy(getattr(functional, name)(np.cos(angles), margin))
        for name, margin, angles in json.loads(Path(source).read_text())
    ]
    np.savez(target, *results)


if __name__ == "__main__":
    main(*sys.argv[1:])
