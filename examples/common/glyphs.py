"""Glyphs: an open-set task of many classes that needs no download.

A network learns to tell 1,560 characters apart in all their faces, and is
verified on others that it has never seen.
"""

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from common.dataset_types import cache_folder, prepare_cache
from common.glyph_rendering import (
    SIDE,
    draw_sample,
    font_files,
    select_glyphs,
)
from common.identity_data import IdentityData, draw_pairs
from common.run_folder import write_atomically

NUM_TRAIN = 1560
#: Change it with what is drawn, so that older files are not taken.
_VERSION = 3


def load_glyphs(
    *, num_pairs: int = 6000, seed: int = 0, cache_dir: Path | None = None
) -> IdentityData:
    """Characters of matplotlib's fonts, 32 x 32 pixels, white on black.

    Drawn once, in about 20 seconds, and kept in a file of 5 MB; a file that
    is damaged or was made with other fonts is drawn again.

    Args:
        num_pairs: Number of pairs for verification, a multiple of 20.
        seed: Seed of the drawings, of the characters to train on and of the
            pairs.
        cache_dir: Where the file is kept. Defaults to `datasets` in
            `KERAS_HOME`, or in `~/.keras`.

    Raises:
        DataError: If matplotlib or Pillow is not installed, or `cache_dir`
            cannot be written to.
    """
    cache_dir = cache_dir or cache_folder()
    key = _key(seed)
    drawn = _read(cache_dir / f"glyphs_{key}.npz")
    if drawn is None:
        prepare_cache(cache_dir)
        drawn = _draw(seed)
        _write(cache_dir / f"glyphs_{key}.npz", *drawn)
    images, codes = drawn
    names = np.random.default_rng(seed).permutation(np.unique(codes))
    trained = np.sort(names[:NUM_TRAIN])
    is_trained = np.isin(codes, trained)
    return IdentityData(
        name="glyphs",
        x_train=images[is_trained],
        y_train=np.searchsorted(trained, codes[is_trained]),
        identity_names=tuple(f"U+{code:04X}" for code in trained),
        x_test=images[~is_trained],
        pairs=draw_pairs(codes[~is_trained], num_pairs, seed=seed),
        source=f"fonts of matplotlib, drawn with {_pillow()}",
    )


def _draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns all images and the code point of each."""
    images, codes = [], []
    for code, glyphs in select_glyphs().items():
        for face, glyph in enumerate(glyphs):
            generator = np.random.default_rng((seed, code, face, 1))
            images.append(draw_sample(glyph, generator))
            codes.append(code)
    return np.stack(images)[..., np.newaxis], np.array(codes, "int64")


def _pillow() -> str:
    """Returns the versions that the pixels depend on."""
    import PIL
    from PIL import features

    return f"Pillow {PIL.__version__}, FreeType {features.version('freetype2')}"


def _key(seed: int) -> str:
    """Returns a name for everything that the drawings depend on."""
    files = font_files()
    what = f"{_VERSION} {seed} {_pillow()}"
    digest = hashlib.sha256(what.encode())
    for file in files.values():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _write(file: Path, images: np.ndarray, codes: np.ndarray) -> None:
    """Writes the file in one step; several processes may do so at once."""
    write_atomically(
        file,
        lambda place: np.savez_compressed(place, images=images, codes=codes),
    )


def _read(file: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns what `_write` wrote, `None` if it is not there or damaged."""
    try:
        # A zip file, whose parts carry checksums.
        with (
            file.open("rb") as opened,
            np.load(opened, allow_pickle=False) as arrays,
        ):
            images, codes = arrays["images"], arrays["codes"]
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ):
        return None
    is_right = images.shape == (len(codes), SIDE, SIDE, 1)
    return (images, codes) if is_right else None
