"""Programs as a GPU would get them, looked at on a machine without one.

`CHECKS` holds the checks of the active backend. Each takes a `Program` and
returns what it objects to, as a list of strings; an empty list is a pass.
Nothing is computed: arguments are shapes, and every check traces.
"""

import contextlib
import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass

import keras

from gpu import kernels


@dataclass(frozen=True)
class Program:
    """A scalar function of float tensors, followed by int32 tensors.

    Attributes:
        name: Readable name, for test ids.
        function: Called with one tensor for each shape.
        floats: Shapes of the tensors of `dtype`, by each of which the checks
            take the gradient.
        integers: Shapes of the int32 tensors.
        dtype: A float dtype.
    """

    name: str
    function: Callable
    floats: tuple
    integers: tuple = ()
    dtype: str = "float32"

    def arguments(self, make):
        """List of `make(shape, dtype)` for each argument."""
        return [
            *[make(shape, self.dtype) for shape in self.floats],
            *[make(shape, "int32") for shape in self.integers],
        ]


# JAX.

#: Libraries of NVIDIA, which run on the device, but not `cuhybrid_...`.
DEVICE_CALL = re.compile(r"(__)?cu(?!hybrid)\w+")


def lowered_for_cuda(program, platform="cuda"):
    """Lowers value and gradient and looks for the host in the text."""
    import jax

    by_floats = tuple(range(len(program.floats)))
    step = jax.jit(jax.value_and_grad(program.function, argnums=by_floats))
    traced = step.trace(*program.arguments(jax.ShapeDtypeStruct))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    if "stablehlo." not in text:
        return ["the lowered text holds no operation"]
    called = set(re.findall(r'custom_call @"?([^\s("]+)', text))
    transfers = set(
        re.findall(r"stablehlo\.(?:infeed|outfeed|send|recv)\b", text)
    )
    return sorted(transfers) + [
        f"custom call {name}"
        for name in sorted(called)
        if not DEVICE_CALL.fullmatch(name)
    ]


# PyTorch.


class _Device(str):
    """Name of a device for `keras.device`, equal to the device it names.

    Keras compares the device of a tensor with a name, finds them different,
    and then replaces a `meta` tensor by a new one, which has no gradient.
    """

    __slots__ = ()

    def lower(self):
        return self

    def __eq__(self, other):
        return str(self) == str(other)

    def __ne__(self, other):
        return str(self) != str(other)

    __hash__ = str.__hash__


def forward_on_fake_cuda(program):
    """Runs the value on tensors that only claim to be on a GPU."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    # With its index; "cuda" alone asks the driver which one is current.
    device = _Device("cuda:0")
    with (
        _cuda_without_a_driver(),
        keras.device(device),
        FakeTensorMode(),
        torch.no_grad(),
    ):
        arguments = program.arguments(_torch_maker(device))
        with _watched(device) as objections:
            value = program.function(*arguments)
    return objections + _misplaced("the value", value, device)


def step_on_meta(program):
    """Runs value and gradient on tensors that have no data."""
    import torch

    device = _Device("meta")
    with keras.device(device):
        arguments = program.arguments(_torch_maker(device))
        floats = arguments[: len(program.floats)]
        for tensor in floats:
            tensor.requires_grad_()
        with _watched(device) as objections:
            value = program.function(*arguments)
            gradients = torch.autograd.grad(value, floats)
    objections += _misplaced("the value", value, device)
    for gradient in gradients:
        objections += _misplaced("a gradient", gradient, device)
    return objections


def _torch_maker(device):
    import torch

    def make(shape, dtype):
        return torch.ones(shape, dtype=getattr(torch, dtype), device=device)

    return make


def _misplaced(name, tensor, device):
    if tensor.device == device:
        return []
    return [f"{name} is on {tensor.device}"]


@contextlib.contextmanager
def _watched(device):
    """Collects the operators that meet a tensor of another device.

    PyTorch raises when it meets tensors of two devices, except that one may
    be a scalar or an index. And it sees nothing wrong where a tensor is moved
    first, which `keras.ops` do with every tensor. Only a constant, a Python
    number or an array, begins on the CPU and has to be moved.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    objections = []
    constants = []
    operators = set()

    def is_foreign(leaf):
        return (
            isinstance(leaf, torch.Tensor)
            and leaf.device != device
            and not any(leaf is constant for constant in constants)
        )

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            result = func(*args, **kwargs)
            if func is torch.ops.aten.lift_fresh.default:
                constants.append(result)
            elif func.namespace != "prim":  # prim::device asks for a device.
                operators.add(func)
                objections.extend(
                    f"{func} meets a tensor of shape {tuple(leaf.shape)} on "
                    f"{leaf.device}"
                    for leaf in tree_leaves((args, kwargs, result))
                    if is_foreign(leaf)
                )
            return result

    with Watch():
        yield objections
    if not operators:
        objections.append("no operator was seen")


@contextlib.contextmanager
def _cuda_without_a_driver():
    """Lets a PyTorch that is built for CPUs index a fake `cuda` tensor.

    Python's `x[...]` and some methods first ask the device's guard to make
    the device current. PyTorch's CUDA build brings such a guard and makes it
    do nothing where there is no GPU; other builds have none. Here the one of
    `meta`, which does nothing either, stands in for the missing one.
    """
    import torch

    cuda, meta = 1, 14  # c10/core/DeviceType.h
    guards = (ctypes.c_void_p * (meta + 1)).in_dll(
        ctypes.CDLL(torch._C.__file__),
        "_ZN3c104impl26device_guard_impl_registryE",
    )
    if guards[cuda] is not None:
        yield
        return
    guards[cuda] = guards[meta]
    try:
        yield
    finally:
        guards[cuda] = None


# TensorFlow.

#: Operations that leave the device, whatever kernels they have.
HOST_OPERATION = re.compile(
    r"(Eager)?PyFunc.*|Print.*|Assert|Debug.*|.*Summary.*|_?(Host)?(Send|Recv)"
    r"|.*(Infeed|Outfeed).*|_?Xla(Host|Send|Recv).*"
)

#: Calls of functions, and what stands for arguments inside them.
CALL = re.compile(
    r"Placeholder|(Stateful)?PartitionedCall|(Stateless)?(While|If|Case)"
)

#: Types that lie in the host's memory where a function takes or returns them.
HOST_TYPES = ("int32", "resource", "string")


def graph_for_gpu(program):
    """Traces value and gradient and looks up every operation's kernels.

    Of TensorFlow's kernels for GPUs some take or return integers in the
    host's memory, so parts of a graph run there. That costs little unless
    the host has to wait: when one kernel leaves a tensor on the device that
    another reads on the host. This is objected to as well.
    """
    import tensorflow as tf

    def step(*arguments):
        floats = arguments[: len(program.floats)]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            value = program.function(*arguments)
        return value, tape.gradient(value, floats)

    specs = program.arguments(tf.TensorSpec)
    # As Keras compiles its training steps.
    function = tf.function(step, autograph=False)
    concrete = function.get_concrete_function(*specs)
    objections = set()
    if None in concrete.structured_outputs[1]:
        objections.add("a gradient is missing")
    graphs = [concrete.graph, *_called_graphs(concrete.graph)]
    operations = [op for graph in graphs for op in graph.get_operations()]
    conditions = {
        operation.get_attr("cond").name
        for operation in operations
        if operation.type.endswith("While")
    }
    for operation in operations:
        objections.update(_objections_to(operation))
    for graph in graphs:
        for tensor in map(_origin, graph.outputs):
            read = tensor.dtype.name in HOST_TYPES or graph.name in conditions
            if read and not _output_is_on_host(tensor):
                objections.add(f"{tensor.op.type} returns to the host")
    return sorted(objections)


def _called_graphs(graph):
    """The graphs of all functions that a graph and its functions call."""
    from tensorflow.python.framework.function_def_to_graph import (
        function_def_to_graph,
    )

    with graph.as_default():
        return [
            function_def_to_graph(function)
            for function in graph.as_graph_def().library.function
        ]


def _objections_to(operation):
    name = operation.type
    if HOST_OPERATION.fullmatch(name):
        yield f"{name} leaves the device"
    if name != "Placeholder":
        for device in kernels.DEVICES:
            if kernels.host_arguments(operation, device) is None:
                yield f"{name} has no kernel for {device}"
    tensors = map(_origin, operation.inputs)
    for tensor, read in zip(tensors, _inputs_on_host(operation), strict=True):
        if read and not _output_is_on_host(tensor):
            yield f"{name} reads on the host what {tensor.op.type} computed"


def _origin(tensor):
    """The tensor before copies, which are removed before a graph runs."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _inputs_on_host(operation):
    if not CALL.fullmatch(operation.type):
        return _arguments_on_host(operation, operation.op_def.input_arg)
    on_host = [tensor.dtype.name in HOST_TYPES for tensor in operation.inputs]
    if operation.type.endswith(("If", "Case")):
        on_host[0] = True  # What decides.
    return on_host


def _output_is_on_host(tensor):
    if CALL.fullmatch(tensor.op.type):
        return tensor.dtype.name in HOST_TYPES
    outputs = _arguments_on_host(tensor.op, tensor.op.op_def.output_arg)
    return outputs[tensor.value_index]


def _arguments_on_host(operation, arguments):
    """Whether the GPU kernel has each tensor of `arguments` on the host."""
    names = kernels.host_arguments(operation, "GPU") or []
    on_host = []
    for argument in arguments:
        length = 1
        if argument.number_attr:
            length = operation.get_attr(argument.number_attr)
        elif argument.type_list_attr:
            length = len(operation.get_attr(argument.type_list_attr))
        on_host += [argument.name in names] * length
    return on_host


#: The checks of the active backend.
CHECKS = {
    "tensorflow": (graph_for_gpu,),
    "jax": (lowered_for_cuda,),
    "torch": (forward_on_fake_cuda, step_on_meta),
}[keras.backend.backend()]
