"""Reads a file only if it is, byte for byte, the published one.

Datasets come from other people's servers, and some of them are pickles, which
can run code when opened. So a file's size and checksum are compared first;
its bytes are handed to a parser only afterwards, from memory, so that nobody
can swap the file between the check and the use.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from common.dataset_types import DataError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")


@dataclass(frozen=True)
class FileSpec:
    """What a published file must be.

    Attributes:
        name: File name, without folders.
        size: Number of bytes, or `None` where the publisher gives none.
        digest: `"sha256:..."`, or `"md5:..."` where only that is published;
            lower-case hexadecimal.
    """

    name: str
    size: int | None
    digest: str

    def __post_init__(self):
        if not _DIGEST.fullmatch(self.digest):
            raise ValueError(
                "`digest` must be 'sha256:' and 64, or 'md5:' and 32, "
                f"lower-case hexadecimal digits. Received: {self.digest!r}."
            )

    def matches(self, contents: bytes) -> bool:
        """Whether `contents` has this size and this checksum."""
        if self.size not in (None, len(contents)):
            return False
        algorithm, _, expected = self.digest.partition(":")
        digest = hashlib.new(algorithm, contents, usedforsecurity=False)
        return digest.hexdigest() == expected


def read_verified(path: str | Path, *accepted: FileSpec) -> bytes:
    """Contents of a file that equals one of the accepted versions.

    Args:
        path: The file to read.
        *accepted: One or more versions of the file, any of which will do.

    Returns:
        The contents, verified.

    Raises:
        DataError: If the file is missing or unreadable, or if its size or its
            checksum is that of no accepted version.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is missing or not a file. Download it again.")
    try:
        size = path.stat().st_size
        sizes = [spec.size for spec in accepted]
        # A wrong size is refused before a byte is read.
        if None not in sizes and size not in sizes:
            raise DataError(
                f"{path} has {size} bytes, expected "
                f"{' or '.join(map(str, sizes))}: it is incomplete or another "
                "file. Download it again."
            )
        contents = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). Check the permissions "
            "of the file and its folders."
        ) from error
    if not any(spec.matches(contents) for spec in accepted):
        digests = " or ".join(spec.digest for spec in accepted)
        raise DataError(
            f"{path} does not have the published checksum ({digests}): it is "
            "damaged or was changed, and was not opened. Download it again."
        )
    return contents


def sha256_of(path: Path) -> str:
    """Returns the checksum of a file's contents, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
