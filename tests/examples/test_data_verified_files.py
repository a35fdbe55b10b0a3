"""`verified_files`: nothing but the published bytes gets through."""

import hashlib

import pytest

from common.dataset_types import DataError
from common.verified_files import FileSpec, read_verified

CONTENTS = b"published bytes"
SHA256 = f"sha256:{hashlib.sha256(CONTENTS).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENTS).hexdigest()}"
SPEC = FileSpec("file.bin", len(CONTENTS), SHA256)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENTS)
    return path


def message_of(path, *accepted):
    with pytest.raises(DataError) as error:
        read_verified(path, *accepted)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert "file.bin" in message
    return message


@pytest.mark.parametrize("size", [len(CONTENTS), None])
@pytest.mark.parametrize("digest", [SHA256, MD5])
def test_published_file_is_read(path, size, digest):
    assert read_verified(path, FileSpec("file.bin", size, digest)) == CONTENTS


def test_any_accepted_version_will_do(path):
    other = FileSpec("file.bin", 3, "md5:" + "0" * 32)
    assert read_verified(path, other, SPEC) == CONTENTS
    assert read_verified(path, SPEC, other) == CONTENTS


def test_size_and_checksum_must_be_of_the_same_version(path):
    sized = FileSpec("file.bin", len(CONTENTS), "md5:" + "0" * 32)
    summed = FileSpec("file.bin", 3, SHA256)
    assert "checksum" in message_of(path, sized, summed)


def test_missing_file(tmp_path):
    assert "missing" in message_of(tmp_path / "file.bin", SPEC)


def test_folder_instead_of_a_file(tmp_path):
    (tmp_path / "file.bin").mkdir()
    assert "not a file" in message_of(tmp_path / "file.bin", SPEC)


def test_truncated_file_names_both_sizes(path):
    path.write_bytes(CONTENTS[:-1])
    message = message_of(path, SPEC)
    assert "has 14 bytes, expected 15" in message
    assert "Download it again" in message


@pytest.mark.parametrize("size", [len(CONTENTS), None])
@pytest.mark.parametrize("digest", [SHA256, MD5])
@pytest.mark.parametrize("position", [0, 7, len(CONTENTS) - 1])
def test_one_flipped_bit_is_noticed(path, size, digest, position):
    flipped = bytearray(CONTENTS)
    flipped[position] ^= 1
    path.write_bytes(flipped)
    assert "checksum" in message_of(path, FileSpec("file.bin", size, digest))


def test_unreadable_file(path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    assert "Permission denied" in message_of(path, SPEC)


@pytest.mark.parametrize(
    "digest", ["", "sha1:" + "0" * 40, "md5:123", "md5:" + "G" * 32]
)
def test_malformed_digest_is_refused(digest):
    with pytest.raises(ValueError, match="`digest` must be 'sha256:'"):
        FileSpec("file.bin", 1, digest)


def test_data_error_is_always_one_line():
    assert str(DataError("first\nsecond\r\nthird")) == "first second third"
