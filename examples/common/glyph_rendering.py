"""Characters as images: which of the bundled fonts' glyphs, and how drawn.

An identity is a character, its samples are its glyphs in the faces (regular,
bold, oblique, serif, mono ...) of the fonts that matplotlib brings along,
each drawn with small random changes.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.dataset_types import DataError
from common.install_commands import EXAMPLES

#: Faces that hold many characters each.
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
)
#: Faces in which an identity must look different.
MIN_FACES = 7
#: Cosine of two small bitmaps above which they are the same glyph, of one
#: character in two faces and of two characters.
SAME_FACE, SAME_CHARACTER = 0.995, 0.985
SIDE = 32
#: Longer side of an unchanged glyph, in pixels of the image. A square one,
#: turned, sheared and shifted to the limits, still is within the image.
_EXTENT = 21
_OVERSAMPLING = 3
_BITMAP_SIDE = 16

#: A glyph cut to its ink, uint8, `(height, width)`, 255 is ink.
Glyph = np.ndarray


def font_files() -> dict[str, Path]:
    """Returns the file of each face.

    Raises:
        DataError: If matplotlib is not installed, or lacks one of them.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise DataError(
            f"glyphs needs matplotlib ({error}). Run: {EXAMPLES}"
        ) from error
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    files = {face: folder / f"{face}.ttf" for face in FACES}
    for file in files.values():
        if not file.is_file():
            raise DataError(
                f"{file} is missing. Install matplotlib from PyPI, which "
                "brings its fonts along."
            )
    return files


def select_glyphs() -> dict[int, list[Glyph]]:
    """Returns the characters that look different in enough faces.

    Characters without ink, whose code point the face does not have, and
    that look like a character of a lower code point in some face ("A" in the
    Greek and in the Cyrillic alphabet) are left out. So are faces in which a
    character looks as in an earlier one.

    Returns:
        The glyphs of each code point, one per face, in the order of `FACES`.
    """
    glyphs_of = _all_glyphs()
    bitmaps_of = {
        code: np.stack([_bitmap(glyph) for glyph in glyphs])
        for code, glyphs in glyphs_of.items()
        if len(glyphs) >= MIN_FACES
    }
    selected = {}
    for code in _without_look_alikes(bitmaps_of):
        faces = _different(bitmaps_of[code])
        if len(faces) >= MIN_FACES:
            selected[code] = [glyphs_of[code][face] for face in faces]
    return selected


def draw_sample(glyph: Glyph, generator: np.random.Generator) -> np.ndarray:
    """Draws a glyph at a random angle, size and place.

    Args:
        glyph: The glyph, of any size.
        generator: Where the changes come from: rotation of up to 10 degrees,
            shrinking and shear of up to 15 %, and a shift of up to 2 pixels.

    Returns:
        Uint8 image `(SIDE, SIDE)`, ink 255 on 0.
    """
    from PIL import Image

    angle = np.radians(generator.uniform(-10.0, 10.0))
    scale = generator.uniform(0.85, 1.0) * _EXTENT / max(glyph.shape)
    shear = generator.uniform(-0.15, 0.15)
    shift = generator.uniform(-2.0, 2.0, 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    matrix = scale * rotation @ np.array([[1.0, shear], [0.0, 1.0]])
    # Pillow asks for the place in the glyph of each pixel of the image.
    inverse = np.linalg.inv(matrix) / _OVERSAMPLING
    center = _OVERSAMPLING * (SIDE / 2 + shift)
    middle = np.array(glyph.shape[::-1]) / 2
    offset = middle - inverse @ center
    large = Image.fromarray(glyph).transform(
        (SIDE * _OVERSAMPLING, SIDE * _OVERSAMPLING),
        Image.Transform.AFFINE,
        (*inverse[0], offset[0], *inverse[1], offset[1]),
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(large.reduce(_OVERSAMPLING))


def _all_glyphs() -> dict[int, list[Glyph]]:
    """Returns the glyphs of every character that has ink."""
    files = font_files()
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise DataError(
            f"glyphs needs Pillow ({error}). Run: {EXAMPLES}"
        ) from error
    from matplotlib.ft2font import FT2Font

    glyphs_of: dict[int, list[Glyph]] = defaultdict(list)
    for file in files.values():
        # Without shaping, so that the result depends on the font alone.
        font = ImageFont.truetype(file, 64, layout_engine=0)
        for code, index in sorted(FT2Font(str(file)).get_charmap().items()):
            # Index 0 is the box of missing characters; categories C and Z
            # are control characters, private ones and spaces.
            if index and unicodedata.category(chr(code))[0] not in "CZ":
                mask = font.getmask(chr(code))
                ink = mask.getbbox()
                if ink:
                    left, top, right, bottom = ink
                    pixels = np.frombuffer(bytes(mask), np.uint8)
                    pixels = pixels.reshape(mask.size[::-1])
                    glyphs_of[code].append(pixels[top:bottom, left:right])
    return dict(sorted(glyphs_of.items()))


def _bitmap(glyph: Glyph) -> np.ndarray:
    """Returns a small picture of a glyph as a unit vector."""
    from PIL import Image

    height, width = glyph.shape
    scale = _BITMAP_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(glyph).resize(size, Image.Resampling.BOX)
    square = np.zeros((_BITMAP_SIDE, _BITMAP_SIDE), "float32")
    top, left = (_BITMAP_SIDE - size[1]) // 2, (_BITMAP_SIDE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square.ravel() / np.linalg.norm(square)


def _without_look_alikes(bitmaps_of: dict[int, np.ndarray]) -> list[int]:
    """Returns code points of which no two share a glyph in any faces."""
    codes = list(bitmaps_of)
    bitmaps = np.concatenate(list(bitmaps_of.values()))
    counts = [len(rows) for rows in bitmaps_of.values()]
    owners = np.repeat(np.arange(len(codes)), counts)
    look_alikes: dict[int, set[int]] = defaultdict(set)
    for start in range(0, len(bitmaps), 1024):
        cosines = bitmaps[start : start + 1024] @ bitmaps[start:].T
        rows, columns = np.nonzero(cosines > SAME_CHARACTER)
        first, second = owners[start + rows], owners[start + columns]
        for one, other in {*zip(first.tolist(), second.tolist(), strict=True)}:
            if one != other:
                look_alikes[min(one, other)].add(max(one, other))
    dropped: set[int] = set()
    for owner in range(len(codes)):
        if owner not in dropped:
            dropped |= look_alikes[owner]
    return [code for i, code in enumerate(codes) if i not in dropped]


def _different(bitmaps: np.ndarray) -> Sequence[int]:
    """Returns rows that do not look like an earlier one of the result."""
    chosen: list[int] = []
    for index, bitmap in enumerate(bitmaps):
        if not chosen or np.max(bitmaps[chosen] @ bitmap) < SAME_FACE:
            chosen.append(index)
    return chosen
