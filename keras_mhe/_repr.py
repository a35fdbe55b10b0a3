"""What objects read like: the call that makes them."""

import inspect
import re
from typing import Any

import keras

_LEADING = inspect.Parameter.POSITIONAL_OR_KEYWORD
_OTHERS = inspect.Parameter.VAR_KEYWORD


def call_of(thing: Any) -> str:
    """Returns the call that makes an object with a Keras configuration.

    It names the arguments that differ from their defaults, and those before
    the `*` of a class of this library, if they are not `None`:
    `MHE(strength=1.0, half_space=True)`.
    """
    values, parameters = _values(thing), _parameters(type(thing))
    is_ours = type(thing).__module__.split(".")[0] == "keras_mhe"
    kinds = {parameter.kind for parameter in parameters.values()}
    has_leading = is_ours and kinds != {_LEADING}
    words = []
    for name, parameter in parameters.items():
        if name not in values:
            continue
        value = values[name]
        is_leading = has_leading and parameter.kind is _LEADING
        if (is_leading and value is not None) or not _is_default(
            value, parameter.default
        ):
            words.append(f"{name}={_text(value)}")
    return f"{type(thing).__name__}({', '.join(words)})"


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """Parameters of a constructor, with those that `**kwargs` are for."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            own = inspect.signature(vars(base)["__init__"]).parameters
            found |= {name: own[name] for name in own if name not in found}
            if _OTHERS not in {parameter.kind for parameter in own.values()}:
                break
    return found


def _values(thing: Any) -> dict[str, Any]:
    """Maps arguments to values, with objects in place of configurations."""
    try:
        config = thing.get_config()
    except NotImplementedError:  # A term that was never meant to be saved.
        config = vars(thing)
    values = {
        name: getattr(thing, name) if _is_object(value) else value
        for name, value in config.items()
    }
    if "dtype" in values:
        policy = getattr(thing, "dtype_policy", None)
        name = values["dtype"] if policy is None else policy.name
        is_usual = name == keras.config.dtype_policy().name
        values["dtype"] = None if is_usual else name
    if isinstance(thing, keras.layers.Layer | keras.random.SeedGenerator):
        # Keras names them after their class, and counts.
        stem = re.sub(r"_\d+$", "", thing.name).replace("_", "")
        if stem == type(thing).__name__.lower():
            values["name"] = None
    return values


def _is_object(value: Any) -> bool:
    """Whether a value of a configuration stands for an object or several."""
    if isinstance(value, list):
        return any(map(_is_object, value))
    return isinstance(value, dict) and "class_name" in value


def _is_default(value: Any, default: Any) -> bool:
    if isinstance(default, str) and hasattr(value, "get_config"):
        # Keras takes initializers by name.
        default = keras.initializers.get(default)
        return bool(
            type(value) is type(default)
            and value.get_config() == default.get_config()
        )
    return bool(value == default)


def _text(value: Any) -> str:
    if isinstance(value, list):
        if all(isinstance(entry, int) for entry in value):
            return repr(tuple(value))
        return f"[{', '.join(map(_text, value))}]"
    if hasattr(value, "get_config"):
        return call_of(value)
    return str(getattr(value, "__name__", repr(value)))
