"""The page of an audit: what is in it, before a browser sees it."""

import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe.analysis import audit, audit_features

pytestmark = pytest.mark.once


class Page(HTMLParser):
    """Collects tags, identifiers and cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.addresses, self.cells = [], [], [], []
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        found = dict(attributes)
        if "id" in found:
            self.ids.append(found["id"])
        self.addresses += [
            value
            for name, value in attributes
            if name in ("src", "href", "xlink:href", "action")
        ]
        if tag in ("td", "th"):
            self.cells.append([found, ""])
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._open.pop()

    def handle_data(self, data):
        if self._open:
            self.cells[-1][1] += data


@pytest.fixture(name="found")
def audit_of_a_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(9, 3, name="conv<1>&"),
            layers.Flatten(),
            layers.Dense(12, name="hidden"),
            layers.Dense(4, name="classes"),
        ]
    )
    return audit(model, half_space=True)


def page_of(found, folder, **options):
    return found.to_html(folder / "report.html", **options).read_text()


def test_table_and_titles(found, tmp_path):
    text = page_of(found, tmp_path, title="A <model>")
    page = Page(text)
    assert text.count("A &lt;model&gt;") == 2
    assert "<model>" not in text
    cells = [content for _, content in page.cells]
    flat = [cell for row in found.cells() for cell in row]
    assert cells == flat
    values = [a["data-value"] for a, _ in page.cells if "data-value" in a]
    assert values[3] == "power 2, half"
    assert float(values[4]) == found[0].energy
    assert values[0] == "conv<1>&"


def test_all_that_is_named_is_in_the_page(found, tmp_path):
    text = page_of(found, tmp_path)
    assert text == page_of(found, tmp_path)
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    assert all(address.startswith("#") for address in page.addresses)
    used = re.findall(r"url\(#([^)]*)\)", text)
    used += [address[1:] for address in page.addresses]
    assert used
    assert set(used) <= set(page.ids)
    assert "link" not in page.tags
    # Names of the SVG format are no addresses that are loaded.
    elsewhere = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "http" not in elsewhere
    assert "@import" not in text


def test_pictures_have_words_and_the_colour_of_the_text(found, tmp_path):
    text = page_of(found, tmp_path)
    pictures = re.findall(r"<svg[^>]*>", text)
    assert len(pictures) == len(found)
    for row, picture in zip(found, pictures, strict=True):
        assert 'role="img"' in picture
        assert f"at least {row.min_angle:.2f} degrees" in picture
    assert "currentColor" in text
    assert "#123456" not in text


def test_names_do_nothing_in_a_page(tmp_path):
    name = "red\x1b[31m\n\u202e<script>$\\frac$"
    found = audit_features(np.eye(4), name=name)
    text = page_of(found, tmp_path, title=name)
    assert "\x1b" not in text
    assert "\u202e" not in text
    # In titles, table, summary, pictures' words and captions.
    assert text.count("red?[31m??&lt;script&gt;$\\frac$") == 8


def test_summary(tmp_path):
    features = np.random.default_rng(0).normal(size=(5, 9))
    features[1] = features[3]
    features[2] = 0.0
    text = page_of(audit_features(features), tmp_path)
    for line in (
        "1 layer with 5 neurons.",
        "1 of 1 layers have neurons more alike than random ones (gap above 1).",
        "numbers 1 and 3 of features.",
        "Neurons that are the same: 2.",
        "Neurons that are dead: 1.",
    ):
        assert line in text


def test_summary_without_gaps_and_angles(tmp_path):
    found = audit_features(np.zeros((3, 4)), distance="angular")
    text = page_of(found, tmp_path)
    assert "nan" not in text
    assert "Largest gap" not in text
    assert "Nearest two" not in text


def test_older_page_stays_if_the_new_one_fails(found, tmp_path, monkeypatch):
    before = page_of(found, tmp_path)

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        found.to_html(tmp_path / "report.html", title="new")
    assert (tmp_path / "report.html").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
