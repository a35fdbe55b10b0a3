"""Images of identities, and pairs of others to verify: glyphs, folders, LFW.

A network learns to tell identities apart and is asked, of two images of
people or characters that it has never seen, whether they show the same one.
"""

import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data import ImageFiles, UserError, find_images, open_file

# Pairs ----------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Pairs of images: indices, whether of one identity, and their folds."""

    first: np.ndarray
    second: np.ndarray
    is_same: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True)
class Identities:
    """Images of identities to train on, and pairs of others to verify.

    The images are a uint8 array, or `ImageFiles`.
    """

    x_train: Any
    y_train: np.ndarray
    num_identities: int
    x_test: Any
    pairs: Pairs
    source: str


FOLDS = 10


def draw_pairs(labels: np.ndarray, num_pairs: int, *, seed: int = 0) -> Pairs:
    """Draws pairs as those of LFW: half the same, folds with their own people.

    Identities are drawn first and their images then, so all count alike.
    """
    if num_pairs < 2 * FOLDS:
        raise UserError(f"{FOLDS} folds need {2 * FOLDS} pairs at least.")
    generator = np.random.default_rng(seed)
    names = generator.permutation(np.unique(labels))
    pairs = []
    for fold in range(FOLDS):
        people = [np.flatnonzero(labels == name) for name in names[fold::FOLDS]]
        several = [images for images in people if len(images) > 1]
        if len(people) < 2 or not several:
            raise UserError(
                f"{len(names)} identities are too few for {FOLDS} folds of "
                "pairs. Give more identities, or more images of each."
            )
        for _ in range(num_pairs // FOLDS // 2):
            one = several[generator.integers(len(several))]
            pairs.append((*generator.choice(one, 2, replace=False), True, fold))
            two = generator.choice(len(people), 2, replace=False)
            images = [generator.choice(people[person]) for person in two]
            pairs.append((*images, False, fold))
    return Pairs(*map(np.array, zip(*pairs, strict=True)))


# Characters as identities ---------------------------------------------------

#: Fonts that come with matplotlib; nearly all characters are in the first.
FACES = [
    f"DejaVu{family}{style}"
    for family, slanted in (
        ("Sans", "Oblique"),
        ("SansMono", "Oblique"),
        ("Serif", "Italic"),
    )
    for style in ("", "-Bold", f"-Bold{slanted}", f"-{slanted}")
]
FACES += [f"STIXGeneral{style}" for style in ("", "Bol", "BolIta", "Italic")]
#: A character must look different in so many of them ...
MIN_FACES = 7
#: ... and, in the first, must not look like another: cosine of the pixels.
LOOK_ALIKE = 0.985
NUM_GLYPHS, GLYPHS_TO_TRAIN = 1890, 1560
SIDE = 32


def load_glyphs(num_pairs: int = 6000) -> Identities:
    """Draws characters, 32 x 32 pixels, white on black, in about ten seconds.

    An identity is a character; its images are its glyphs in matplotlib's
    fonts, each turned, sheared, scaled and shifted a little.
    """
    generator = np.random.default_rng(0)
    characters = _select_characters()
    chosen = generator.permutation(len(characters))[:NUM_GLYPHS]
    x, y = [], []
    for label, index in enumerate(chosen):
        x += [_draw_glyph(glyph, generator) for glyph in characters[index]]
        y += [label] * len(characters[index])
    images, labels = np.stack(x)[..., np.newaxis], np.array(y)
    is_trained = labels < GLYPHS_TO_TRAIN
    return Identities(
        images[is_trained],
        labels[is_trained],
        GLYPHS_TO_TRAIN,
        images[~is_trained],
        draw_pairs(labels[~is_trained], num_pairs),
        "fonts of matplotlib",
    )


def _select_characters() -> list[list[Image.Image]]:
    """Returns the different glyphs of each character."""
    import matplotlib as mpl
    from matplotlib.ft2font import FT2Font

    folder = f"{mpl.get_data_path()}/fonts/ttf"
    files = [f"{folder}/{face}.ttf" for face in FACES]
    faces_of: dict[str, list[str]] = {}
    for file in files:
        for code in FT2Font(file).get_charmap():
            faces_of.setdefault(chr(code), []).append(file)
    # Without shaping, so that the result depends on the font alone.
    fonts = {f: ImageFont.truetype(f, 24, layout_engine=0) for f in files}
    characters: list[list[Image.Image]] = []
    seen = np.zeros((len(faces_of), 256), "float32")
    for character, faces in sorted(faces_of.items()):
        # Control characters, private ones and spaces have no picture.
        if len(faces) < MIN_FACES or unicodedata.category(character)[0] in "CZ":
            continue
        glyphs: dict[bytes, Image.Image] = {}
        for face in faces:
            page = Image.new("L", (72, 72))
            ImageDraw.Draw(page).text((24, 24), character, 255, fonts[face])
            if ink := page.getbbox():
                left, top, right, bottom = ink
                glyph = page.crop((left - 1, top - 1, right + 1, bottom + 1))
                glyphs.setdefault(glyph.tobytes(), glyph)
        if len(glyphs) < MIN_FACES:
            continue
        small = next(iter(glyphs.values())).resize((16, 16))
        pixels = np.asarray(small, "float32").ravel()
        pixels /= np.linalg.norm(pixels)
        if (seen @ pixels).max() < LOOK_ALIKE:
            seen[len(characters)] = pixels
            characters.append(list(glyphs.values()))
    return characters


def _draw_glyph(glyph: Image.Image, generator: Any) -> np.ndarray:
    """Draws a glyph turned by up to 10 degrees, and otherwise changed."""
    # The longer side has 18 to 21 pixels, so a square stays in the image.
    ranges = [-0.17, -0.15, 18, 14, 14], [0.17, 0.15, 21, 18, 18]
    turn, shear, side, x, y = generator.uniform(*ranges)
    zoom = max(glyph.size) / side
    cosine, sine = zoom * math.cos(turn), zoom * math.sin(turn)
    # Pillow asks for the place in the glyph of each pixel of the image.
    a, b = cosine, shear * cosine - sine
    c, d = sine, shear * sine + cosine
    left = glyph.width / 2 - a * x - b * y
    top = glyph.height / 2 - c * x - d * y
    how = (Image.Transform.AFFINE, (a, b, left, c, d, top))
    bilinear = Image.Resampling.BILINEAR
    return np.asarray(glyph.transform((SIDE, SIDE), *how, bilinear))


# Folders of identities, and LFW ---------------------------------------------


def load_identities(
    data_dir: Path,
    *,
    pairs_file: Path | None = None,
    pairs_dir: Path | None = None,
    num_pairs: int = 6000,
) -> Identities:
    """Reads folders of images, `DATA_DIR/IDENTITY/NAME.jpg`.

    Pairs are those of `pairs_file` (see `read_pairs`); without it they are of
    a tenth of the identities, which are held out.
    """
    people: dict[str, list[str]] = {}
    for path in find_images(data_dir):
        if path.parent.parent == data_dir:
            people.setdefault(path.parent.name, []).append(str(path))
    if len(people) < 2 * FOLDS + 2:
        raise UserError(
            f"{data_dir} must hold folders of images of {2 * FOLDS + 2} "
            f"identities at least, received {len(people)}."
        )
    if pairs_file is not None and pairs_dir is not None:
        x_test, pairs = read_pairs(pairs_file, pairs_dir)
        tested = {Path(path).parent.name for path in x_test.names}
        if common := sorted(tested & people.keys()):
            raise UserError(
                f"{data_dir} must not hold people of {pairs_file}, received "
                f"{len(common)}, such as {common[0]}. Remove their folders."
            )
    else:
        shuffled = np.random.default_rng(0).permutation(list(people))
        held_out = shuffled[: max(2 * FOLDS, len(people) // 10)]
        x_test, y_test = _join([people.pop(name) for name in held_out])
        pairs = draw_pairs(y_test, num_pairs)
    x_train, y_train = _join(list(people.values()), x_test.shape[1:])
    source = str(data_dir)
    return Identities(x_train, y_train, len(people), x_test, pairs, source)


def _join(
    people: list[list[str]], shape: tuple[int, ...] | None = None
) -> tuple[ImageFiles, np.ndarray]:
    """Returns the images of all people, and whose they are."""
    names = [name for images in people for name in images]
    labels = np.repeat(np.arange(len(people)), [len(p) for p in people])
    return ImageFiles(names, shape=shape).check(), labels


def read_pairs(
    pairs_file: Path, pairs_dir: Path, shape: tuple[int, ...] | None = None
) -> tuple[ImageFiles, Pairs]:
    """Reads LFW's `pairs.txt`, or a file like it, and finds the images.

    The first line has the number of folds and of pairs; in each fold come so
    many lines `NAME N1 N2`, two images of a person, and as many lines
    `NAME1 N1 NAME2 N2`. Image 7 is `PAIRS_DIR/NAME/NAME_0007.jpg`, or another
    format.
    """
    pairs, is_same, folds = _parse_pairs(pairs_file)
    used = sorted({image for pair in pairs for image in pair})
    found = {
        f"{name}/{path.stem}": str(path)
        for name in {name for name, _ in used}
        for path in (pairs_dir / name).glob(f"{name}_*.*")
    }
    names = [f"{name}/{name}_{number:04}" for name, number in used]
    if missing := [name for name in names if name not in found]:
        raise UserError(
            f"{pairs_dir} must hold the {len(names)} images of {pairs_file}, "
            f"{len(missing)} are missing, such as {missing[0]}."
        )
    place = {image: index for index, image in enumerate(used)}
    first, second = np.array([[place[i] for i in pair] for pair in pairs]).T
    fold_of_pair = np.repeat(np.arange(folds), len(pairs) // folds)
    images = ImageFiles([found[name] for name in names], shape=shape)
    return images.check(), Pairs(first, second, is_same, fold_of_pair)


def _parse_pairs(pairs_file: Path) -> tuple[list[Any], np.ndarray, int]:
    """Returns pairs of names and numbers, which are the same, and the folds."""
    with open_file(pairs_file) as file:
        lines = file.read().decode(errors="replace").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    try:
        folds, count = map(int, rows[0])
        is_same = np.tile(np.repeat([True, False], count), folds)
        pairs = []
        for row, same in zip(rows[1:], is_same, strict=True):
            if same:  # The name is given once.
                row.insert(2, row[0])
            name, number, other_name, other_number = row
            pairs.append(((name, int(number)), (other_name, int(other_number))))
        if folds < 2:
            raise ValueError(f"{folds} fold")
    except (ValueError, IndexError) as error:
        raise UserError(
            f"{pairs_file} is not like LFW's pairs.txt ({error}): two or more "
            "folds and a number of pairs, then so many lines NAME N1 N2 and as "
            "many NAME1 N1 NAME2 N2 for each fold."
        ) from error
    return pairs, is_same, folds
