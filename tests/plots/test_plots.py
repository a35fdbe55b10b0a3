"""Pictures: what is in them, by the numbers that they were drawn from."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_mhe
from keras_mhe import plots
from keras_mhe.analysis import audit_features

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
RANDOM = RNG.normal(size=(12, 12))
ORTHOGONAL = np.eye(12)


def lines_of(axes, color):
    return [line for line in axes.get_lines() if line.get_color() == color]


@pytest.mark.parametrize("half_space", [False, True])
def test_angles(half_space):
    found = audit_features(RANDOM, half_space=half_space, name="some")
    figure = found.plot()
    (axes,) = figure.axes
    assert axes.get_title() == "some\n12 in dimension 12"
    (stairs,) = axes.patches
    values, edges, _ = stairs.get_data()
    np.testing.assert_allclose(
        values, found[0].angle_counts / found[0].angle_counts.sum()
    )
    assert edges[-1] == (90 if half_space else 180)
    (optimum,) = lines_of(axes, "C3")
    expected = 90.0 if half_space else np.degrees(np.arccos(-1 / 11))
    np.testing.assert_allclose(optimum.get_xdata(), expected)
    (random,) = lines_of(axes, "C1")
    degrees, density = random.get_data()
    low, high = axes.get_xlim()
    assert low <= degrees[0] <= found[0].min_angle
    assert degrees[-1] <= high
    assert degrees[np.argmax(density)] == pytest.approx(90.0, abs=0.5)


def test_angles_before_and_after():
    before, after = audit_features(RANDOM), audit_features(ORTHOGONAL)
    figure = after.plot(before=before)
    (axes,) = figure.axes
    labels = [patch.get_label() for patch in axes.patches]
    assert labels == ["before", "after"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["before", "after", "random", "optimal"]
    # The whole legend is on the page, however narrow.
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_comparison():
    before, after = audit_features(RANDOM), audit_features(ORTHOGONAL)
    figure = plots.comparison(before, after)
    gaps, angles = figure.axes
    for axes, name in ((gaps, "gap"), (angles, "min_angle")):
        drawn = {line.get_label(): line.get_xdata() for line in axes.lines}
        assert drawn["before"] == pytest.approx([getattr(before[0], name)])
        assert drawn["after"] == pytest.approx([getattr(after[0], name)])
    assert [t.get_text() for t in gaps.get_yticklabels()] == ["features"]


@pytest.mark.parametrize("draw", [
    lambda before, after: plots.comparison(before, after),
    lambda before, after: after.plot(before=before),
], ids=["comparison", "angles"])  # fmt: skip
def test_audits_of_different_energies(draw):
    before = audit_features(RANDOM)
    after = audit_features(RANDOM, half_space=True)
    with pytest.raises(ValueError, match=r"same .*: features with power 2, f"):
        draw(before, after)


def test_audits_without_a_common_layer():
    before = audit_features(RANDOM, name="a")
    with pytest.raises(ValueError, match=r"must share a layer.*'a'.*'b'"):
        plots.comparison(before, audit_features(RANDOM, name="b"))


def test_energies_by_layer():
    logs = {
        "loss": [3.0, 2.0],
        "energy": [0.6, 0.5],
        "energy/first": [0.7, 0.6],
        "energy/second": [0.5, 0.4],
        "energy_gap/first": [1.2, 0.6],
        "min_angle": [50.0, 60.0],
    }
    initial = {"energy/first": 0.9, "min_angle": 40.0}
    figure = plots.energies(logs, initial=initial)
    energy, gap, angle = figure.axes
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == [
        "energy",
        "energy gap",
        "angle of the nearest two neurons, degrees",
    ]
    first, second = energy.lines
    assert first.get_label() == "first"
    np.testing.assert_array_equal(first.get_xdata(), [0, 1, 2])
    np.testing.assert_array_equal(first.get_ydata(), [0.9, 0.7, 0.6])
    np.testing.assert_array_equal(second.get_xdata(), [1, 2])
    assert first.get_color() != second.get_color()
    np.testing.assert_array_equal(gap.lines[0].get_ydata(), [1.2, 0.6])
    np.testing.assert_array_equal(angle.lines[0].get_ydata(), [40, 50, 60])


def test_a_layer_has_one_colour_in_all_panels():
    logs = {
        "energy/small": [1.0, 1.0, 1.0],
        "energy/wide": [0.5, 0.5, 0.5],
        "energy_gap/wide": [1.2, 0.6, 0.5],
    }
    energy, gap = plots.energies(logs).axes
    by_name = {line.get_label(): line.get_color() for line in energy.lines}
    assert by_name["small"] != by_name["wide"]
    assert gap.lines[0].get_label() == "wide"
    assert gap.lines[0].get_color() == by_name["wide"]


def test_ticks_of_small_and_large_gaps():
    before, after = audit_features(RANDOM), audit_features(ORTHOGONAL)
    small = plots.comparison(before, after, labels=("random", "frame"))
    low, high = small.axes[0].get_xlim()
    ticks = [t for t in small.axes[0].get_xticks() if low <= t <= high]
    assert len(ticks) >= 3
    alike = RANDOM + 3.0
    large = plots.comparison(audit_features(alike), after)
    shown = [t.get_text() for t in large.axes[0].get_xticklabels()]
    assert shown[:4] == ["0", "1", "2", "5"]
    texts = [text.get_text() for text in small.legends[0].get_texts()]
    assert texts == ["random", "frame", "bound", "random", "max_min_angle"]


@pytest.mark.parametrize(
    ("living", "form", "expected"),
    [
        (12, {}, np.degrees(np.arccos(-1 / 11))),
        (6, {}, np.degrees(np.arccos(-1 / 5))),
        (12, {"distance": "angular"}, None),
        (0, {}, None),
    ],
)
def test_optimum_is_drawn_where_it_is_proven(living, form, expected):
    features = np.where(np.arange(12)[:, None] < living, ORTHOGONAL, 0.0)
    (axes,) = audit_features(features, **form).plot().axes
    drawn = [line.get_xdata()[0] for line in lines_of(axes, "C3")]
    assert drawn == ([] if expected is None else pytest.approx([expected]))


def test_a_part_of_an_audit():
    found = audit_features(RANDOM)
    assert len(found[:1].plot().axes) == 1
    with pytest.raises(ValueError, match="audit without rows"):
        found[:0].plot()


def test_logs_of_something_else():
    with pytest.raises(ValueError, match=r"`logs` must hold keys.*'loss'"):
        plots.energies({"loss": [1.0]})


def test_sphere():
    weights = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, -3.0]])
    figure = plots.sphere(weights, before=-weights, half_space=True)
    before, after = figure.axes
    assert (before.get_title(), after.get_title()) == ("before", "after")
    points, opposites = after.collections
    np.testing.assert_allclose(
        np.stack(points._offsets3d), [[1.0, 0.0], [0.0, 0.0], [0.0, -1.0]]
    )
    np.testing.assert_allclose(
        np.stack(opposites._offsets3d), -np.stack(points._offsets3d)
    )


def test_sphere_of_other_axes():
    figure = plots.sphere(
        RNG.normal(size=(5, 3, 1)), neuron_axis=(np.int64(0), 2)
    )
    (points,) = figure.axes[0].collections
    assert np.stack(points._offsets3d).shape == (3, 5)


def test_neurons_that_are_on_no_sphere():
    with pytest.raises(ValueError, match=r"three entries.*so 4 entries"):
        plots.sphere(np.eye(4))
    with pytest.raises(ValueError, match=r"`before` must have .*before.shape"):
        plots.sphere(np.eye(3), before=np.eye(4))
    with pytest.raises(ValueError, match="`neuron_axis` must be an integer"):
        plots.sphere(np.eye(3), neuron_axis=0.5)
    with pytest.raises(ValueError, match="`half_space` must be True or False"):
        plots.sphere(np.eye(3), half_space="no")


def test_a_model_in_place_of_its_audit():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    found = keras_mhe.audit(model)
    for name, draw in (
        ("before", lambda: found.plot(before=model)),
        ("before", lambda: plots.comparison(model, found)),
        ("after", lambda: plots.comparison(found, model)),
    ):
        message = f"`{name}` must be what `keras_mhe.audit` returns.*Sequential"
        with pytest.raises(ValueError, match=message):
            draw()


def test_pictures_can_be_written(tmp_path):
    before, after = audit_features(RANDOM), audit_features(ORTHOGONAL)
    history = keras.callbacks.History()
    history.history = {"energy": [1.0, 0.5]}
    figures = [
        after.plot(before=before),
        plots.comparison(before, after),
        plots.energies(history),
        plots.sphere(np.eye(3)),
    ]
    for number, figure in enumerate(figures):
        path = tmp_path / f"{number}.png"
        figure.savefig(path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_names_are_drawn_as_they_are():
    name, shown = "$\\frac$\x1b[31m\n\u202e", r"\$\frac\$?[31m??"
    before = audit_features(RANDOM, name=name)
    after = audit_features(ORTHOGONAL, name=name)
    angles = after.plot(before=before)
    assert angles.axes[0].get_title().startswith(f"{shown}\n12 in")
    comparison = plots.comparison(before, after, labels=(name, "after"))
    assert comparison.axes[0].get_yticklabels()[0].get_text() == shown
    assert comparison.legends[0].get_texts()[0].get_text() == shown
    energies = plots.energies({f"energy/{name}": [1.0, 2.0]})
    assert energies.legends[0].get_texts()[0].get_text() == shown
    for figure in (angles, comparison, energies):
        figure.canvas.draw()  # A formula would not be one of matplotlib's.


def test_the_library_does_not_need_matplotlib():
    program = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "import numpy as np\n"
        "import keras_mhe\n"
        "from keras_mhe import analysis\n"
        "found = analysis.audit_features(np.eye(3))\n"
        "assert 'features' in str(found)\n"
        "try:\n"
        "    found.plot()\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "pictures need matplotlib: pip install" in done.stdout
