"""`ImageFiles` and `load_identity_folders`, on small folders of images."""

import io
import os
import pickle
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from common import image_files
from common.dataset_types import DataError
from common.identity_folders import load_identity_folders
from common.image_files import ImageFiles, list_images

HEIGHT, WIDTH = SIZE = (12, 10)
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}


def make_pixels(seed, height=HEIGHT, width=WIDTH):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels, suffix=".png"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, FORMATS.get(suffix, "GIF"))
    return buffer.getvalue()


def write(path, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


def write_images(folder, count, suffix=".png"):
    return [
        write(folder / f"{i:03}{suffix}", encoded(make_pixels(i), suffix))
        for i in range(count)
    ]


def one_line(error, *parts):
    message = str(error.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert str(part) in message
    return message


def refused(path, *parts, size=SIZE):
    """The path is refused by the constructor, with a message about it."""
    with pytest.raises(DataError) as error:
        ImageFiles([path], size)
    return one_line(error, path, *parts)


@pytest.mark.parametrize("suffix", FORMATS)
def test_images_are_decoded_as_pillow_does(tmp_path, suffix):
    paths = write_images(tmp_path, 3, suffix)
    images = ImageFiles(paths, SIZE)
    assert len(images) == 3
    assert images.shape == (3, *SIZE, 3)
    assert images[:].dtype == np.uint8
    for path, decoded in zip(paths, images[:], strict=True):
        with Image.open(path) as image:
            np.testing.assert_array_equal(decoded, np.asarray(image))


@pytest.mark.parametrize(
    "index",
    [
        np.array([4, 0, 0, -1]),
        [1, 2],
        [],
        slice(1, None, 2),
        slice(5, 2, -1),
        np.array([True, False, False, True, True, False]),
        np.array([[0, 1], [5, 3]]),
        3,
        np.int64(-2),
    ],
    ids=repr,
)
def test_indexed_as_an_array(tmp_path, index):
    images = ImageFiles(write_images(tmp_path, 6), SIZE)
    pixels = np.stack([make_pixels(i) for i in range(6)])
    np.testing.assert_array_equal(images[index], pixels[index])
    assert images[index].shape == pixels[index].shape


@pytest.mark.parametrize("index", [6, [0, 6], -7, np.ones(5, bool), 1.0])
def test_index_that_an_array_refuses(tmp_path, index):
    images = ImageFiles(write_images(tmp_path, 6), SIZE)
    with pytest.raises(IndexError):
        images[index]


@pytest.mark.parametrize("suffix", FORMATS)
def test_grey_images_get_three_channels(tmp_path, suffix):
    grey = np.full(SIZE, 90, np.uint8)
    path = write(tmp_path / f"0{suffix}", encoded(grey, suffix))
    decoded = ImageFiles([path], SIZE)[0]
    np.testing.assert_allclose(decoded, np.full((*SIZE, 3), 90), atol=1)


def test_size_of_the_first_image(tmp_path):
    paths = write_images(tmp_path, 2)
    assert ImageFiles(paths, None).shape == (2, *SIZE, 3)
    write(paths[1], encoded(make_pixels(1, height=13)))
    with pytest.raises(DataError) as error:
        ImageFiles(paths, None)
    one_line(error, paths[1], "height 12 and width 10", "received height 13")


def test_list_as_size(tmp_path):
    assert ImageFiles(write_images(tmp_path, 1), [12, 10]).shape[1:3] == SIZE


def test_faces_that_are_not_aligned(tmp_path):
    path = write(tmp_path / "0.jpg", encoded(make_pixels(0, 96, 112), ".jpg"))
    with pytest.raises(DataError) as error:
        ImageFiles([path])
    one_line(
        error,
        path,
        "height 112 and width 96, received height 96 and width 112",
        "examples/align_faces.py",
    )


def test_other_sizes_do_not_ask_for_alignment(tmp_path):
    path = write(tmp_path / "0.png", encoded(make_pixels(0, 10, 12)))
    message = refused(path, "received height 10 and width 12")
    assert "align_faces" not in message


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "contents", [b"", b"<html>Not found</html>", b"\xff\xd8\xff"]
)
def test_file_that_is_no_image(tmp_path, suffix, contents):
    refused(write(tmp_path / f"0{suffix}", contents), "cannot be decoded")


def png_chunk(kind, contents):
    checksum = zlib.crc32(kind + contents).to_bytes(4, "big")
    return len(contents).to_bytes(4, "big") + kind + contents + checksum


@pytest.mark.parametrize(
    ("header_bytes", "second_kind", "reason"),
    [
        # Pillow raises a ValueError and a SyntaxError.
        (8, b"IDAT", "Truncated IHDR chunk"),
        (13, b"\xff\xff\xff\xff", "broken PNG file"),
    ],
)
def test_damaged_chunk_of_a_png(tmp_path, header_bytes, second_kind, reason):
    whole = encoded(make_pixels(0))
    pixels = zlib.compress(bytes(HEIGHT * (3 * WIDTH + 1)), 0)
    chunks = [
        png_chunk(b"IHDR", whole[16 : 16 + header_bytes]),
        png_chunk(b"IDAT", pixels[:100]),
        png_chunk(second_kind, pixels[100:]),
        png_chunk(b"IEND", b""),
    ]
    path = write(tmp_path / "0.png", whole[:8] + b"".join(chunks))
    with pytest.raises(DataError) as error:
        ImageFiles([path], SIZE)[0]
    one_line(error, path, reason)


def test_missing_file(tmp_path):
    refused(tmp_path / "0.jpg", "No such file")


def test_other_format_under_the_name_of_a_png(tmp_path):
    path = write(tmp_path / "0.png", encoded(make_pixels(0), ".gif"))
    refused(path, "must be an image as JPEG, PNG, BMP, WEBP")


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1", "I;16"])
def test_other_colour_mode(tmp_path, mode):
    path = tmp_path / "0.png"
    Image.new(mode, (WIDTH, HEIGHT)).save(path)
    refused(path, f"received one of Pillow's mode {mode}")


def test_large_file_is_refused_unopened(tmp_path, monkeypatch):
    path = write(tmp_path / "0.png", encoded(make_pixels(0)))
    os.truncate(path, image_files.MAX_IMAGE_BYTES + 1)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Opened."))
    refused(path, "at most 4194304 bytes, received 4194305")


@pytest.mark.parametrize("side", [10_000, 30_000])
@pytest.mark.parametrize("size", [SIZE, None])
def test_decompression_bomb_is_refused(tmp_path, side, size):
    # Few bytes whose header promises more pixels than Pillow tolerates.
    bomb = bytearray(encoded(make_pixels(0)))
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    path = write(tmp_path / "0.png", bomb)
    refused(path, "decompression bomb", size=size)


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_image_is_noticed(tmp_path, suffix):
    paths = write_images(tmp_path, 2, suffix)
    contents = paths[1].read_bytes()
    paths[1].write_bytes(contents[: 9 * len(contents) // 10])
    with pytest.raises(DataError) as error:
        ImageFiles(paths, SIZE)[:]
    one_line(error, paths[1], "cannot be decoded")


def test_truncated_jpeg_passes_as_long_as_it_is_not_decoded(tmp_path):
    paths = write_images(tmp_path, 2, ".jpg")
    contents = paths[1].read_bytes()
    paths[1].write_bytes(contents[:-40])
    images = ImageFiles(paths, SIZE)
    assert images[[0]].shape == (1, *SIZE, 3)
    with pytest.raises(DataError, match="truncated") as error:
        images[[1]]
    one_line(error, paths[1])


@pytest.mark.parametrize("change", ["removed", "resized"])
def test_file_that_changes_after_the_check(tmp_path, change):
    (path,) = write_images(tmp_path, 1)
    images = ImageFiles([path], SIZE)
    if change == "removed":
        path.unlink()
    else:
        write(path, encoded(make_pixels(0, 5, 5)))
    with pytest.raises(DataError) as error:
        images[0]
    one_line(error, path)


def test_pickled_without_another_check(tmp_path, monkeypatch):
    images = ImageFiles(write_images(tmp_path, 3), SIZE)
    contents = pickle.dumps(images)
    monkeypatch.setattr(
        image_files, "_check_header", lambda *_: pytest.fail("Checked.")
    )
    copy = pickle.loads(contents)
    assert copy.shape == images.shape
    np.testing.assert_array_equal(copy[[2, 0]], images[[2, 0]])


def test_threads_share_one_object(tmp_path):
    images = ImageFiles(write_images(tmp_path, 20), SIZE)
    batches = np.random.default_rng(0).integers(0, 20, (60, 8))
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(images.__getitem__, batches))
    pixels = np.stack([make_pixels(i) for i in range(20)])
    np.testing.assert_array_equal(decoded, pixels[batches])


def test_progress_is_shown_for_many_images_only(tmp_path, monkeypatch, capsys):
    paths = write_images(tmp_path, 3)
    ImageFiles(paths, SIZE)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(image_files, "PROGRESS_FROM", 3)
    ImageFiles(paths, SIZE)
    shown = capsys.readouterr().out
    assert "headers of 3 images" in shown
    assert "3/3" in shown


def test_no_files():
    with pytest.raises(ValueError, match="`paths` must hold a file"):
        ImageFiles([])


def test_missing_pillow(tmp_path, monkeypatch):
    (path,) = write_images(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    refused(path, 'pip install ".[examples]"')


def test_images_of_a_folder(tmp_path):
    for name in ("b.PNG", "a.jpeg", "c.d.webp", "._a.jpg", ".x.png", "a.txt"):
        write(tmp_path / name, b"x")
    (tmp_path / "folder.jpg").mkdir()
    assert list_images(tmp_path) == {
        "a": tmp_path / "a.jpeg",
        "b": tmp_path / "b.PNG",
        "c.d": tmp_path / "c.d.webp",
    }


def test_images_that_differ_in_their_ending_only(tmp_path):
    write(tmp_path / "0.png", b"x")
    write(tmp_path / "0.jpg", b"x")
    with pytest.raises(DataError) as error:
        list_images(tmp_path)
    one_line(error, tmp_path, "received both 0.jpg and 0.png")


def test_folder_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError) as error:
        list_images(tmp_path / "none")
    one_line(error, tmp_path / "none", "No such file")


def name_of(identity):
    return f"{identity:07}"


def write_identities(root, count=8, images=4):
    """Writes folders in an order that is not sorted."""
    for identity in reversed(range(count)):
        for i in reversed(range(images)):
            pixels = make_pixels((identity, i))
            write(root / name_of(identity) / f"{i:03}.png", encoded(pixels))
    return root


OPTIONS = {"size": SIZE, "num_pairs": 8, "folds": 2}


def load(root, **options):
    return load_identity_folders(root, **OPTIONS | options)


def load_fails(root, *parts, **options):
    with pytest.raises(DataError) as error:
        load(root, **options)
    return one_line(error, *parts)


def identities_of(images):
    return [os.path.basename(os.path.dirname(path)) for path in images.paths]


def test_images_and_labels_belong_together(tmp_path):
    data = load(write_identities(tmp_path))
    assert data.name == "folders"
    assert data.source == str(tmp_path)
    assert data.x_train.shape == (16, *SIZE, 3)
    assert data.y_train.dtype == np.int64
    assert data.y_train.tolist() == np.repeat(np.arange(4), 4).tolist()
    assert list(data.identity_names) == sorted(data.identity_names)
    expected = [
        make_pixels((int(data.identity_names[label]), place % 4))
        for place, label in enumerate(data.y_train)
    ]
    np.testing.assert_array_equal(data.x_train[:], expected)


def test_identities_of_the_pairs_are_held_out(tmp_path):
    data = load(write_identities(tmp_path))
    tested = identities_of(data.x_test)
    assert len(set(tested)) == 4
    assert list(data.x_test.paths) == sorted(data.x_test.paths)
    assert set(tested) | set(data.identity_names) == set(map(name_of, range(8)))
    assert set(tested).isdisjoint(data.identity_names)
    assert len(data.pairs) == 8
    for first, second, is_same in zip(
        data.pairs.first, data.pairs.second, data.pairs.is_same, strict=True
    ):
        assert (tested[first] == tested[second]) == is_same
    assert data.pairs.folds.tolist() == [0] * 4 + [1] * 4


def test_seed_decides_on_identities_and_pairs(tmp_path):
    write_identities(tmp_path)
    one, again, other = load(tmp_path), load(tmp_path), load(tmp_path, seed=1)
    assert one.identity_names == again.identity_names
    assert one.pairs.first.tolist() == again.pairs.first.tolist()
    assert one.identity_names != other.identity_names
    assert one.pairs.first.tolist() != other.pairs.first.tolist()


@pytest.mark.parametrize(
    ("count", "given", "expected"), [(8, None, 4), (60, None, 6), (8, 6, 6)]
)
def test_number_of_identities_held_out(tmp_path, count, given, expected):
    write_identities(tmp_path, count, images=3)
    data = load(tmp_path, test_identities=given)
    assert len(set(identities_of(data.x_test))) == expected
    assert len(data.identity_names) == count - expected


def test_other_files_and_folders_are_ignored(tmp_path):
    write_identities(tmp_path)
    expected = load(tmp_path)
    image = encoded(make_pixels(0))
    for name in (
        "__MACOSX/0.png",
        ".cache/0.png",
        "0000002/._000.png",
        "0000002/boxes.txt",
        "0000002/inner/0.png",
        "9/landmarks.csv",
        "README.txt",
        "0.png",
    ):
        write(tmp_path / name, image)
    (tmp_path / "empty").mkdir()
    data = load(tmp_path)
    assert data.x_train.paths == expected.x_train.paths
    assert data.x_test.paths == expected.x_test.paths
    assert data.identity_names == expected.identity_names


def test_one_image_is_enough_for_an_identity(tmp_path):
    write_identities(tmp_path, count=7)
    for seed in range(5):
        names = load(tmp_path, seed=seed).identity_names
        if "0000003" in names:
            break
    for path in sorted((tmp_path / "0000003").iterdir())[1:]:
        path.unlink()
    data = load(tmp_path, seed=seed)
    assert np.sum(data.y_train == names.index("0000003")) == 1


def test_size_is_that_of_the_first_image(tmp_path):
    write_identities(tmp_path)
    data = load(tmp_path, size=None)
    assert data.x_train.shape[1:] == data.x_test.shape[1:] == (*SIZE, 3)
    # Also if all images to test have another one.
    for path in data.x_test.paths:
        Image.new("RGB", (9, 9)).save(path)
    load_fails(tmp_path, "received height", size=None)


@pytest.mark.parametrize("identity", range(8))
def test_damaged_image_is_named_wherever_it_is(tmp_path, identity):
    write_identities(tmp_path)
    path = tmp_path / name_of(identity) / "001.png"
    path.write_text("<html>Not found</html>")
    load_fails(tmp_path, path, "cannot be decoded")


def test_image_of_another_size_is_named(tmp_path):
    write_identities(tmp_path)
    path = tmp_path / name_of(5) / "002.png"
    write(path, encoded(make_pixels(0, 10, 12)))
    load_fails(tmp_path, path, "height 12 and width 10")


def test_not_aligned_by_default(tmp_path):
    write_identities(tmp_path)
    with pytest.raises(DataError) as error:
        load_identity_folders(tmp_path, num_pairs=8, folds=2)
    one_line(error, "height 112 and width 96", "examples/align_faces.py")


def test_same_image_twice(tmp_path):
    write_identities(tmp_path)
    write(tmp_path / name_of(1) / "003.jpg", b"x")
    load_fails(tmp_path, tmp_path / name_of(1), "both 003.jpg and 003.png")


def test_missing_data_dir(tmp_path):
    load_fails(tmp_path / "none", "none", "does not exist")


def test_file_as_data_dir(tmp_path):
    path = write(tmp_path / "CASIA-WebFace.zip", b"x")
    load_fails(path, path, "must be a folder", "--data_dir")


def test_folder_above_the_right_one(tmp_path):
    write_identities(tmp_path / "CASIA-WebFace")
    load_fails(tmp_path, tmp_path, "0 of 1 folders", "--data_dir")


def test_too_few_identities(tmp_path):
    write_identities(tmp_path, count=5)
    load_fails(tmp_path, "hold 6 identities", "received 5", "--pairs_file")


@pytest.mark.parametrize("number", [-1, 0, 3, 7])
def test_number_of_identities_out_of_range(tmp_path, number):
    write_identities(tmp_path)
    load_fails(
        tmp_path,
        tmp_path,
        f"from 4, two per fold, to 6, which leaves two to train on, received "
        f"{number}.",
        "--test_identities",
        test_identities=number,
    )


def test_more_pairs_than_there_are(tmp_path):
    write_identities(tmp_path)
    load_fails(
        tmp_path,
        tmp_path,
        "13 pairs of one each are too many for the 2 identities of fold 0",
        "--num_pairs",
        num_pairs=52,
    )


@pytest.mark.parametrize("num_pairs", [-4, 0, 6])
def test_number_of_pairs_fills_the_folds(tmp_path, num_pairs):
    write_identities(tmp_path)
    load_fails(
        tmp_path,
        f"multiple of 4, twice the number of folds, received {num_pairs}.",
        "--num_pairs",
        num_pairs=num_pairs,
    )


@pytest.mark.parametrize("folds", [-1, 0, 1])
def test_two_folds_at_least(tmp_path, folds):
    write_identities(tmp_path)
    load_fails(
        tmp_path,
        f"2 or more, because the threshold of each is chosen "
        f"on the others, received {folds}.",
        folds=folds,
    )


def write_lfw(root):
    """Writes four people, and 2 folds of 1 and 1 pairs of them."""
    for person in "ABCD":
        for number in (1, 2):
            name = f"{person}_{number:04}.png"
            pixels = make_pixels((ord(person), number))
            write(root / "lfw" / person / name, encoded(pixels))
    lines = ["2\t1", "A\t1\t2", "A\t1\tB\t2", "C\t1\t2", "C\t2\tD\t1"]
    write(root / "pairs.txt", "\n".join(lines).encode())
    return {"pairs_file": root / "pairs.txt", "pairs_dir": root / "lfw"}


def test_pairs_of_lfw_leave_all_identities_for_training(tmp_path):
    root = write_identities(tmp_path / "casia", count=3)
    data = load(root, **write_lfw(tmp_path))
    assert data.identity_names == ("0000000", "0000001", "0000002")
    assert data.y_train.tolist() == np.repeat(np.arange(3), 4).tolist()
    assert data.pairs.is_same.tolist() == [True, False, True, False]
    assert data.pairs.folds.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(
        data.x_test[data.pairs.second[1]], make_pixels((ord("B"), 2))
    )
    for path in (root, tmp_path / "pairs.txt", tmp_path / "lfw"):
        assert str(path) in data.source


def test_images_of_lfw_have_the_size_of_the_others(tmp_path):
    root = write_identities(tmp_path / "casia", count=3)
    options = write_lfw(tmp_path)
    path = options["pairs_dir"] / "B" / "B_0002.png"
    write(path, encoded(make_pixels(0, 14, 14)))
    load_fails(root, path, "height 12 and width 10", size=None, **options)


def test_training_on_the_people_of_the_pairs_is_refused(tmp_path):
    options = write_lfw(tmp_path)
    load_fails(
        options["pairs_dir"],
        options["pairs_dir"],
        options["pairs_file"],
        "4 are in both: A, B, C, ...",
        **options,
    )


@pytest.mark.parametrize("given", ["pairs_file", "pairs_dir"])
def test_pairs_file_and_folder_belong_together(tmp_path, given):
    root = write_identities(tmp_path / "casia", count=3)
    options = {given: write_lfw(tmp_path)[given]}
    load_fails(root, repr(str(options[given])), "both --pairs_file", **options)
