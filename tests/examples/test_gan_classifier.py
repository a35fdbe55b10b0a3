"""The classifier that scores: trained once, kept, verified, made again."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from common.dataset_types import DataError
from common.digits import load_digits
from generation import classifier
from generation.batches import to_network
from generation.classifier import FEATURE_SIZE, classifier_for


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    return replace(
        digits, x_train=digits.x_train[:640], y_train=digits.y_train[:640]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    """A folder with a classifier of 30 steps."""
    folder = tmp_path_factory.mktemp("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "_EPOCHS", 3)
        patch.setattr(classifier, "_MIN_STEPS", 1)
        classifier_for(data, folder)
    return folder


def refuse(data):
    raise AssertionError("trained")


def test_kept_classifier(data, folder, monkeypatch):
    monkeypatch.setattr(classifier, "_trained", refuse)
    kept = classifier_for(data, folder)
    (path,) = folder.glob("*.keras")
    assert path.stem == kept.name
    assert kept.name.startswith("digits_classifier_v1_")
    assert kept.sha256 == classifier.sha256_of(path)
    logits, features = kept(data.x_test)
    assert logits.shape == (len(data.x_test), 10)
    assert features.shape == (len(data.x_test), FEATURE_SIZE)
    assert kept.test_accuracy == np.mean(logits.argmax(axis=1) == data.y_test)
    assert kept.test_accuracy > 0.3
    # The logits are a product of these features.
    model = keras.models.load_model(path)
    np.testing.assert_allclose(
        logits, model.predict(to_network(data.x_test), verbose=0), atol=1e-4
    )
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-4)


def test_default_folder(data, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(classifier, "_trained", refuse)
    with pytest.raises(AssertionError, match="trained"):
        classifier_for(data)


def test_a_folder_that_cannot_be_written_to_is_noticed_first(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(classifier, "_trained", refuse)
    taken = tmp_path / "file"
    taken.touch()
    with pytest.raises(DataError, match=r"file cannot be .* Set KERAS_HOME"):
        classifier_for(data, taken)


def test_damaged_and_other_data_are_trained_again(
    data, folder, tmp_path, monkeypatch
):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (model,) = tmp_path.glob("*.keras")
    monkeypatch.setattr(classifier, "_trained", refuse)
    other = replace(data, y_train=np.roll(data.y_train, 1))
    with pytest.raises(AssertionError, match="trained"):
        classifier_for(other, tmp_path)
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(AssertionError, match="trained"):
        classifier_for(data, tmp_path)
