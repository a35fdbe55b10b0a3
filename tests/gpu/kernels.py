"""TensorFlow's kernels for GPUs, known without a GPU.

TensorFlow's CUDA build registers them whether or not it finds a GPU; the build
for CPUs does not. For that one they are kept in a table, which this program
writes in an environment with the CUDA build, `pip install tensorflow` on
Linux. From the folder `tests`:

    KERAS_BACKEND=tensorflow python -m gpu.kernels
"""

import functools
import json
from pathlib import Path

TABLE = Path(__file__).parents[1] / "reference" / "tensorflow_kernels.json"

#: Compiled by XLA, or not.
DEVICES = ("XLA_GPU_JIT", "GPU")

#: The types for which kernels are kept.
TYPES = frozenset({
    "bfloat16", "bool", "float16", "float32", "float64", "int32", "int64",
    "resource", "string", "uint8", "variant",
})  # fmt: skip


def host_arguments(operation, device):
    """Names of what an operation's kernel takes and returns on the host.

    Returns:
        List, or `None` without a kernel for the operation and its types.
    """
    for types, arguments in _kernels().get(operation.type, {}).get(device, ()):
        if all(
            _type_names(operation.get_attr(name)) <= set(allowed)
            for name, allowed in types.items()
        ):
            return arguments
    return None


def _type_names(value):
    types = value if isinstance(value, list) else [value]
    return {dtype.name for dtype in types}


@functools.cache
def _kernels():
    import tensorflow as tf

    if tf.test.is_built_with_cuda():
        return registered()
    return json.loads(TABLE.read_text())["kernels"]


def registered():
    """Kernels of this TensorFlow, by operation and by device.

    Returns:
        Dict of dicts of lists of pairs: the types that a kernel serves, by
        attribute of the operation, and its arguments in the host's memory.
    """
    import tensorflow as tf
    from tensorflow.python.framework import kernels

    # XLA registers its kernels when it is first used.
    tf.function(lambda: tf.constant(0.0), jit_compile=True)()
    found = {}
    for kernel in kernels.get_all_registered_kernels().kernel:
        # A kernel for any device serves GPUs too.
        device = {"DEFAULT": "GPU"}.get(kernel.device_type, kernel.device_type)
        if device not in DEVICES or kernel.label:
            continue
        types = {
            constraint.name: TYPES.intersection(
                tf.dtypes.as_dtype(value).name
                for value in constraint.allowed_values.list.type
            )
            for constraint in kernel.constraint
        }
        if all(types.values()):
            entries = found.setdefault(kernel.op, {}).setdefault(device, [])
            entries.append((types, frozenset(kernel.host_memory_arg)))
    return {
        operation: {
            device: _merged(entries)
            for device, entries in sorted(devices.items())
        }
        for operation, devices in sorted(found.items())
    }


def _merged(entries):
    """Makes one of the entries that differ in one attribute's types only."""
    for name in sorted({name for types, _ in entries for name in types}):
        groups = {}
        for types, arguments in entries:
            rest = {key: types[key] for key in types if key != name}
            same = name in types, frozenset(rest.items()), arguments
            groups.setdefault(same, (rest, set(), arguments))[1].update(
                types.get(name, ())
            )
        entries = [
            (rest | {name: frozenset(union)} if union else rest, arguments)
            for rest, union, arguments in groups.values()
        ]
    lists = [
        [{key: sorted(types[key]) for key in sorted(types)}, sorted(arguments)]
        for types, arguments in entries
    ]
    return sorted(lists, key=str)


def main():
    """Writes the table, one operation on each line."""
    import tensorflow as tf

    build = tf.sysconfig.get_build_info()
    if not build["is_cuda_build"]:
        raise SystemExit("This TensorFlow is not built with CUDA.")
    source = f"TensorFlow {tf.__version__}, CUDA {build['cuda_version']}"
    lines = [
        f"{json.dumps(operation)}: {json.dumps(devices)}"
        for operation, devices in registered().items()
    ]
    TABLE.write_text(
        f'{{"source": {json.dumps(source)},\n"kernels": {{\n'
        + ",\n".join(lines)
        + "\n}}\n"
    )


if __name__ == "__main__":
    main()
