"""How far results may be from float64 references, by the weights' dtype."""

#: Relative error of an energy. float16 and bfloat16 weights are computed in
#: float32, and the reference gets the same rounded weights.
VALUE = {
    "float64": 1e-12,
    "float32": 1e-5,
    "float16": 1e-5,
    "bfloat16": 1e-5,
}

#: Error of a gradient's entries, as a fraction of its largest entry. Central
#: differences limit float64; the gradient's own dtype limits the short ones.
GRADIENT = {
    "float64": 1e-7,
    "float32": 1e-4,
    "float16": 2e-3,
    "bfloat16": 1e-2,
}
