"""`load_lfw_pairs`, on small files in LFW's format."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from common.dataset_types import DataError
from common.lfw_pairs import load_lfw_pairs

SIZE = (6, 4)
PEOPLE = ("Abel_Pacheco", "Al-Amin_B.", "Zoë_Ball")
# Two folds of three and three pairs: (person, number), twice.
PAIRS = [
    (("Abel_Pacheco", 1), ("Abel_Pacheco", 4)),
    (("Al-Amin_B.", 1), ("Al-Amin_B.", 2)),
    (("Al-Amin_B.", 12), ("Al-Amin_B.", 2)),
    (("Abel_Pacheco", 1), ("Zoë_Ball", 10000)),
    (("Zoë_Ball", 1), ("Al-Amin_B.", 1)),
    (("Abel_Pacheco", 2), ("Al-Amin_B.", 2)),
    (("Zoë_Ball", 1), ("Zoë_Ball", 2)),
    (("Zoë_Ball", 2), ("Zoë_Ball", 10000)),
    (("Abel_Pacheco", 2), ("Abel_Pacheco", 1)),
    (("Abel_Pacheco", 4), ("Zoë_Ball", 1)),
    (("Abel_Pacheco", 4), ("Zoë_Ball", 2)),
    (("Al-Amin_B.", 12), ("Abel_Pacheco", 2)),
]
IS_SAME = ([True] * 3 + [False] * 3) * 2
IMAGES = sorted({image for pair in PAIRS for image in pair})


def make_lines(separator="\t"):
    lines = [["2", "3"]]
    for (one, number), (other, other_number) in PAIRS:
        names = [one, str(number)]
        names += [str(other_number)] if one == other else [other]
        names += [] if one == other else [str(other_number)]
        lines.append(names)
    return [separator.join(line) for line in lines]


def make_pixels(image):
    generator = np.random.default_rng((PEOPLE.index(image[0]), image[1]))
    return generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def path_of(image_dir, image, suffix=".png"):
    name, number = image
    return image_dir / name / f"{name}_{number:04}{suffix}"


def encoded(pixels, suffix):
    buffer = io.BytesIO()
    kind = {".jpg": "JPEG", ".bmp": "BMP", ".webp": "WEBP"}.get(suffix, "PNG")
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def image_dir(tmp_path):
    return write_images(tmp_path / "lfw")


def write_images(folder, suffix=".png"):
    # Another image that no pair is made of comes first.
    for image in [("Abel_Pacheco", 0), *IMAGES]:
        path = path_of(folder, image, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(make_pixels(image), suffix))
    return folder


def write_pairs(folder, lines, end="\n"):
    path = folder / "pairs.txt"
    text = end.join(lines) + end
    path.write_bytes(text.encode())
    return path


def load(image_dir, lines, end="\n"):
    path = write_pairs(image_dir.parent, lines, end)
    return load_lfw_pairs(path, image_dir, SIZE)


def refused(image_dir, lines, *parts):
    with pytest.raises(DataError) as error:
        load(image_dir, lines)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert str(image_dir.parent / "pairs.txt") in message
    for part in parts:
        assert part in message
    return message


def check(images, pairs):
    """The images and pairs are those of the file, in its order."""
    assert images.shape == (len(IMAGES), *SIZE, 3)
    for array, place in ((pairs.first, 0), (pairs.second, 1)):
        assert array.dtype == np.int64
        expected = np.stack([make_pixels(pair[place]) for pair in PAIRS])
        np.testing.assert_array_equal(images[array], expected)
    assert pairs.is_same.dtype == np.bool_
    assert pairs.is_same.tolist() == IS_SAME
    assert pairs.folds.dtype == np.int64
    assert pairs.folds.tolist() == [0] * 6 + [1] * 6


def test_published_format(image_dir):
    images, pairs = load(image_dir, make_lines())
    check(images, pairs)


def test_each_image_is_listed_once_and_sorted(image_dir):
    images, _ = load(image_dir, make_lines())
    assert images.paths == tuple(
        str(path_of(image_dir, image)) for image in IMAGES
    )


def test_published_size(tmp_path):
    # 10 folds of 300 and 300 pairs of the images of 20 people.
    blank = encoded(np.zeros((*SIZE, 3), np.uint8), ".png")
    lines = ["10\t300"]
    for fold in range(10):
        one, other = f"P{fold}", f"Q{fold}"
        lines += [f"{one}\t{i // 24 + 1}\t{26 + i % 24}" for i in range(300)]
        lines += [
            f"{one}\t{i // 24 + 1}\t{other}\t{i % 24 + 1}" for i in range(300)
        ]
        for name, count in ((one, 49), (other, 24)):
            (tmp_path / "lfw" / name).mkdir(parents=True)
            for number in range(1, count + 1):
                path = path_of(tmp_path / "lfw", (name, number))
                path.write_bytes(blank)
    _, pairs = load(tmp_path / "lfw", lines)
    assert len(pairs) == 6000
    assert np.bincount(pairs.folds).tolist() == [600] * 10
    same_of_fold = np.bincount(pairs.folds, weights=pairs.is_same)
    assert same_of_fold.tolist() == [300] * 10


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", " ", "    ", " \t"])
def test_separators(image_dir, separator, end):
    check(*load(image_dir, make_lines(separator), end))


def test_blank_lines_at_the_end(image_dir):
    check(*load(image_dir, [*make_lines(), "", " \t", ""]))


def test_no_newline_at_the_end(image_dir):
    path = write_pairs(image_dir.parent, make_lines())
    path.write_bytes(path.read_bytes().rstrip())
    check(*load_lfw_pairs(path, image_dir, SIZE))


def test_byte_order_mark(image_dir):
    lines = make_lines()
    check(*load(image_dir, [f"\ufeff{lines[0]}", *lines[1:]]))


@pytest.mark.parametrize("suffix", [".jpg", ".PNG", ".bmp", ".webp"])
def test_other_endings(tmp_path, suffix):
    image_dir = write_images(tmp_path / "lfw", suffix)
    images, _ = load(image_dir, make_lines())
    assert images.paths[0].endswith(f"Abel_Pacheco_0001{suffix}")


def test_names_with_spaces_between_tabs(image_dir):
    lines = [line.replace("Abel_Pacheco", "Abel P.") for line in make_lines()]
    (image_dir / "Abel_Pacheco").rename(image_dir / "Abel P.")
    for path in (image_dir / "Abel P.").iterdir():
        path.rename(path.with_name(path.name.replace("_Pacheco", " P.")))
    check(*load(image_dir, lines))


def test_other_files_are_ignored(image_dir):
    (image_dir / "README.txt").write_text("x")
    (image_dir / "Zoë_Ball" / "._Zoë_Ball_0001.png").write_text("x")
    (image_dir / "Zoë_Ball" / "Zoë_Ball_0009.png").write_text("x")
    (image_dir / "Other").mkdir()
    (image_dir / "Other" / "Other_0001.png").write_text("x")
    check(*load(image_dir, make_lines()))


@pytest.mark.parametrize(
    "header",
    ["", "2", "2 3 4", "two\tthree", "2\t0", "-2\t3", "2\t3.0", "2\t³", "x"],
)
def test_damaged_header(image_dir, header):
    refused(image_dir, [header, *make_lines()[1:]], "two numbers in its first")


def test_missing_header(image_dir):
    message = refused(image_dir, make_lines()[1:], "two numbers in its first")
    assert repr(make_lines()[1]) in message


def test_view_1_has_no_folds(image_dir):
    # pairsDevTrain.txt: one number, so many same and different pairs.
    lines = ["3", *make_lines()[1:7]]
    refused(image_dir, lines, "received 3 alone", "View 1")


def test_one_fold_is_not_enough(image_dir):
    lines = ["1\t3", *make_lines()[1:7]]
    refused(image_dir, lines, "2 folds at least", "received 1.")


@pytest.mark.parametrize("change", ["removed", "added", "header"])
def test_wrong_number_of_lines(image_dir, change):
    lines = make_lines()
    expected, received = 12, 12
    if change == "removed":
        lines.pop()
        received = 11
    elif change == "added":
        lines.append(lines[-1])
        received = 13
    else:
        lines[0] = "3\t3"
        expected = 18
    refused(
        image_dir,
        lines,
        f"must have {expected} lines of pairs",
        f"received {received}.",
    )


def test_empty_file(image_dir):
    refused(image_dir, [], "two numbers in its first line")


@pytest.mark.parametrize(
    ("number", "line", "part"),
    [
        (2, "Abel_Pacheco\t1\tZoë_Ball\t2", "must be NAME N1 N2,"),
        (5, "Abel_Pacheco\t1\t2", "must be NAME1 N1 NAME2 N2,"),
        (3, "", "must be NAME N1 N2,"),
        (3, "Abel_Pacheco", "must be NAME N1 N2,"),
        (3, "\t1\t2", "must be NAME N1 N2,"),
        (5, "\t1\tZoë_Ball\t2", "must be NAME1 N1 NAME2 N2,"),
        (5, "Zoë_Ball\t1\t\t2", "must be NAME1 N1 NAME2 N2,"),
        (3, "Abel_Pacheco\t1\tx", "with numbers from 1"),
        (3, "Abel_Pacheco\t1\t0", "with numbers from 1"),
        (3, "Abel_Pacheco\t-1\t2", "with numbers from 1"),
        (3, "Abel_Pacheco\t1.0\t2", "with numbers from 1"),
        (3, "Abel_Pacheco\t1\t12345678", "with numbers from 1"),
        (3, "Abel_Pacheco\t1\t" + "9" * 5000, "with numbers from 1"),
        (3, "Abel_Pacheco\t4\t4", "must pair two images of one person"),
        (6, "Zoë_Ball\t1\tZoë_Ball\t2", "must pair two people"),
        (6, "Zoë_Ball\t1\tZoë_Ball\t1", "must pair two people"),
        (4, "../Abel_Pacheco\t1\t2", "must name people"),
        (4, "..\t1\t2", "must name people"),
        (5, "Zoë_Ball\t1\tlfw/Abel_Pacheco\t2", "must name people"),
        (5, "Zoë_Ball\t1\tlfw\\Abel_Pacheco\t2", "must name people"),
        (5, "Zoë_Ball\t1\tAbel\0Pacheco\t2", "must name people"),
    ],
)
def test_damaged_line_is_named(image_dir, number, line, part):
    lines = make_lines()
    lines[number - 1] = line
    message = refused(image_dir, lines, f": line {number} ", part)
    assert len(message) < 400 + len(str(image_dir))


def test_numbers_with_leading_zeros(image_dir):
    lines = make_lines()
    lines[2] = "Al-Amin_B.\t0001\t02"
    check(*load(image_dir, lines))


def test_one_missing_image(image_dir):
    path_of(image_dir, ("Zoë_Ball", 10000)).unlink()
    refused(
        image_dir,
        make_lines(),
        f"{image_dir} must hold the 9 images",
        "1 are missing: Zoë_Ball/Zoë_Ball_10000. ",
    )


def test_missing_person(image_dir):
    (image_dir / "Abel_Pacheco").rename(image_dir / "Abel")
    message = refused(image_dir, make_lines(), "3 are missing")
    assert re.findall(r"Abel_Pacheco_(\d+)", message) == [
        "0001",
        "0002",
        "0004",
    ]
    assert "..." not in message


def test_three_missing_images_are_named(image_dir):
    for name in ("Abel_Pacheco", "Zoë_Ball"):
        (image_dir / name).rename(image_dir / name[:3])
    message = refused(image_dir, make_lines(), "6 are missing")
    assert len(re.findall(r"\w+/\w+_\d{4}", message)) >= 3
    assert "Abel_Pacheco/Abel_Pacheco_0004, .... Give" in message


def test_folder_above_the_right_one(image_dir):
    path = write_pairs(image_dir.parent, make_lines())
    with pytest.raises(DataError, match=r"9 are missing.*folder per person"):
        load_lfw_pairs(path, image_dir.parent, SIZE)


def test_two_endings_of_one_image(image_dir):
    image = IMAGES[2]
    path = path_of(image_dir, image, ".jpg")
    path.write_bytes(encoded(make_pixels(image), ".jpg"))
    path = write_pairs(image_dir.parent, make_lines())
    with pytest.raises(DataError) as error:
        load_lfw_pairs(path, image_dir, SIZE)
    assert (
        "received both Abel_Pacheco_0004.jpg and Abel_Pacheco_0004.png"
    ) in str(error.value)


@pytest.mark.parametrize("damage", ["text", "size"])
def test_damaged_image_is_named(image_dir, damage):
    path = path_of(image_dir, IMAGES[-1])
    path.write_bytes(
        b"<html>Not found</html>"
        if damage == "text"
        else encoded(np.zeros((4, 6, 3), np.uint8), ".png")
    )
    with pytest.raises(DataError) as error:
        load(image_dir, make_lines())
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_size_of_the_first_image(image_dir):
    path = write_pairs(image_dir.parent, make_lines())
    images, _ = load_lfw_pairs(path, image_dir, None)
    assert images.shape == (len(IMAGES), *SIZE, 3)


def test_faces_must_be_aligned_by_default(image_dir):
    path = write_pairs(image_dir.parent, make_lines())
    with pytest.raises(DataError, match=r"examples/align_faces\.py"):
        load_lfw_pairs(path, image_dir)


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_pairs_file_of_another_kind(image_dir, kind):
    path = image_dir.parent / "pairs.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\x1f\x8b\x08\x00\xff\xfe\x80")
    with pytest.raises(DataError) as error:
        load_lfw_pairs(path, image_dir, SIZE)
    assert str(error.value).startswith(f"{path} must be a text file of pairs")
    assert "Give LFW's pairs.txt" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_image_dir_that_is_no_folder(image_dir):
    path = write_pairs(image_dir.parent, make_lines())
    with pytest.raises(DataError) as error:
        load_lfw_pairs(path, path, SIZE)
    assert "must be the folder of the images" in str(error.value)
