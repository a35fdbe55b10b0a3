"""Files of models from anywhere: looked at first, then loaded by Keras."""

import contextlib
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from keras_mhe._typing import KerasObject

#: What a model may unpack to, in bytes, whatever the size of its file; and how
#: many times that size a larger one may. Keras writes weights as they are;
#: files that are packed again, of pruned models too, stay far below.
_ALWAYS_ALLOWED = 2**28
_LARGEST_RATIO = 100

#: Bytes of each part in JSON: a model of ten thousand layers has less.
_LARGEST_JSON = 2**25

#: What files begin with that are HDF5 and no archive with HDF5 inside.
_HDF5 = b"\x89HDF\r\n\x1a\n"

_WEIGHTS = "model.weights.h5"
_JSON = ("config.json", "metadata.json")
_SAVE = "save it by model.save('NAME.keras')"


class ModelFileError(Exception):
    """Why a file is not loaded, in words that follow its name."""


def check_model_file(path: Path) -> str:
    """Refuses what is no whole model of Keras, or would fill the memory.

    Nothing is unpacked before its size is known to be reasonable.

    Args:
        path: Of the file.

    Returns:
        The version of Keras that wrote it.

    Raises:
        ModelFileError: If Keras should not load it.
    """
    if path.is_dir():
        raise ModelFileError("a folder; give the .keras file")
    if not path.is_file():
        raise ModelFileError("there is no such file")
    if path.name.endswith(".weights.h5"):
        raise ModelFileError(
            "weights only; give a model, saved by model.save('NAME.keras')"
        )
    _refuse_older_formats(path)
    if not zipfile.is_zipfile(path):
        raise ModelFileError(
            f"not a model in Keras' format, or damaged; {_SAVE}"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(archive, _allowed_bytes(path))
            _check_arrays(archive.read(_WEIGHTS), _allowed_bytes(path))
            metadata = json.loads(archive.read("metadata.json"))
            return str(metadata.get("keras_version", ""))
    except ModelFileError:
        raise
    except Exception as error:
        # Of the packed bytes: zlib's and others beside those of zipfile.
        raise ModelFileError(f"damaged ({first_line(error)})") from error


def load_model(path: Path, version: str) -> KerasObject:
    """Loads a model from a file that `check_model_file` has seen.

    Without running code that is in the file, and without making weights much
    larger than the file.

    Args:
        path: Of the file.
        version: Of Keras, as `check_model_file` returned it.

    Raises:
        ModelFileError: If Keras does not load it.
    """
    try:
        with _weights_of_at_most(_allowed_bytes(path)):
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except ModelFileError:
        raise
    except Exception as error:
        # Keras raises whatever the classes in the file raise.
        raise ModelFileError(_why(error, version)) from error


def is_of_keras_2(version: str) -> bool:
    """Whether a version is one of Keras 2, which lives on as `tf_keras`."""
    return version.startswith("2.")


def first_line(message: object) -> str:
    """Returns the first line of an error or warning, without a full stop."""
    return str(message).strip().partition("\n")[0].rstrip(".")


def _allowed_bytes(path: Path) -> int:
    return max(_ALWAYS_ALLOWED, _LARGEST_RATIO * path.stat().st_size)


def _refuse_older_formats(path: Path) -> None:
    version = _version_in_hdf5(path)
    if version is None and path.suffix not in (".h5", ".hdf5"):
        return
    format_of = ""
    if is_of_keras_2(version or ""):
        format_of = f", here that of Keras 2 (tf_keras {version})"
    raise ModelFileError(
        f"older formats are not read{format_of}; load it with Keras and {_SAVE}"
    )


def _version_in_hdf5(path: Path) -> str | None:
    """The version of Keras that wrote it; `None` if it is no such file."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            start = file.read(len(_HDF5))
        if start == _HDF5:
            with h5py.File(path, "r") as file:
                return str(file.attrs.get("keras_version", ""))
    return None


def _check_parts(archive: zipfile.ZipFile, allowed: int) -> None:
    """Refuses missing, damaged and oversized parts of a file."""
    entries = archive.infolist()
    missing = {_WEIGHTS, *_JSON} - {entry.filename for entry in entries}
    if missing:
        raise ModelFileError(f"no model of Keras, without {min(missing)}")
    # Of the other methods `zipfile` does not bound what a read unpacks.
    methods = {entry.compress_type for entry in entries}
    if not methods <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ModelFileError("packed by a method that Keras does not use")
    _check_size("unpacks to", sum(e.file_size for e in entries), allowed)
    for name in _JSON:
        size = archive.getinfo(name).file_size
        _check_size(f"{name} unpacks to", size, _LARGEST_JSON)
    damaged = archive.testzip()
    if damaged is not None:
        raise ModelFileError(f"damaged, {damaged} is not whole")


def _check_arrays(weights: bytes, allowed: int) -> None:
    """Refuses arrays that are larger than what is stored of them."""
    total = 0

    def look(_: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            if item.id.get_create_plist().get_nfilters():
                raise ModelFileError(
                    f"{_WEIGHTS} holds packed arrays, which Keras does not "
                    f"write; load it with Keras and {_SAVE}"
                )
            total += math.prod(item.shape or ()) * item.dtype.itemsize

    with h5py.File(io.BytesIO(weights), "r") as file:
        file.visititems(look)
    _check_size(f"{_WEIGHTS} unpacks to", total, allowed)


def _check_size(what: str, num_bytes: int, allowed: int) -> None:
    if num_bytes > allowed:
        raise ModelFileError(
            f"{what} {num_bytes:,} bytes; the largest size that is allowed for "
            f"it is {allowed:,}"
        )


@contextlib.contextmanager
def _weights_of_at_most(num_bytes: int) -> Iterator[None]:
    """Ends the making of a model whose layers ask for too many weights.

    Keras makes all weights that the configuration describes before it looks
    for their values, and a few bytes can describe a terabyte.
    """
    add_weight = keras.Layer.add_weight
    asked = 0

    def counted(layer: Any, *args: Any, **options: Any) -> Any:
        nonlocal asked
        shape = args[0] if args else options.get("shape")
        sizes = [shape] if isinstance(shape, int) else shape or ()
        asked += 4 * math.prod(size or 0 for size in sizes)  # As float32.
        if asked > num_bytes:
            raise MemoryError
        return add_weight(layer, *args, **options)

    keras.Layer.add_weight = counted
    try:
        yield
    finally:
        keras.Layer.add_weight = add_weight
        # Keras makes exceptions of its own from those of layers.
        _check_size("its layers ask for weights of", asked, num_bytes)


def _why(error: Exception, version: str) -> str:
    """What to do about a model that Keras does not load."""
    text = str(error)
    if is_of_keras_2(version):
        return (
            f"of Keras 2 (tf_keras {version}), and Keras 3 does not load it; "
            "make the model again in Keras 3, give it the weights by "
            f"set_weights, and {_SAVE}"
        )
    if "Lambda" in text or "lambda" in text:
        return (
            "not loaded, because it holds code (a Lambda layer), which would "
            "run"
        )
    missing = re.search(r"Could not locate (\w+) '(\w+)'", text)
    if missing is not None:
        return f"{missing[1]} '{missing[2]}' is not known: --import MODULE"
    return f"Keras does not load it ({first_line(error)})"
