"""`audit`: every column against loops in float64, and what it cannot tell."""

import csv
import io
import json
import math

import keras
import numpy as np
import pytest
from keras import layers

import keras_mhe
from keras_mhe import MHE
from keras_mhe.analysis import (
    Audit,
    _neighbors,
    audit,
    audit_features,
    energy_bound,
    energy_gap,
    minimum_energy,
    neuron_kernels,
    random_energy,
)
from keras_mhe.constraints import MaxEnergy
from keras_mhe.regularizers import CompressiveMHE, Separation
from support import numpy_reference

pytestmark = pytest.mark.once

RNG = np.random.default_rng(7)
FORMS = [
    {"power": power, "distance": distance, "half_space": half_space}
    for power, distance in ((2, "euclidean"), (0, "angular"))
    for half_space in (False, True)
]


def model_of():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(9, 3, name="conv"),
            layers.DepthwiseConv2D(2, depth_multiplier=3, name="depthwise"),
            layers.Flatten(),
            layers.Dense(12, name="hidden"),
            layers.Dense(4, name="classes"),
        ]
    )


def angle(first, second, half_space):
    """Degrees between two vectors or lines."""
    first = first / np.linalg.norm(first)
    second = second / np.linalg.norm(second)
    found = math.degrees(
        2 * math.atan2(
            np.linalg.norm(first - second), np.linalg.norm(first + second)
        )
    )  # fmt: skip
    return min(found, 180.0 - found) if half_space else found


def angles_by_loops(vectors, groups, half_space):
    """Maps pairs of the same group to their angles."""
    size = len(vectors) // groups
    return {
        (i, j): angle(vectors[i], vectors[j], half_space)
        for i in range(len(vectors))
        for j in range(i + 1, len(vectors))
        if i // size == j // size
    }


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_rows_against_loops(form):
    model = model_of()
    found = audit(model, **form)
    kernels = neuron_kernels(model)
    assert [row.layer for row in found] == [kernel.name for kernel in kernels]
    for row, kernel in zip(found, kernels, strict=True):
        assert row.num_neurons == kernel.num_neurons
        assert row.dim == kernel.dim
        assert row.groups == kernel.groups
        weights = keras.ops.convert_to_numpy(kernel.variable)
        energy = numpy_reference.energy(
            weights,
            neuron_axis=kernel.neuron_axis,
            groups=kernel.groups,
            **form,
        )
        np.testing.assert_allclose(row.energy, energy, rtol=1e-5)
        pairs = angles_by_loops(
            numpy_reference.neuron_vectors(weights, kernel.neuron_axis),
            kernel.groups,
            form["half_space"],
        )
        nearest = min(pairs, key=pairs.get)
        assert row.nearest == nearest
        np.testing.assert_allclose(row.min_angle, pairs[nearest], rtol=1e-4)
        assert row.min_angle <= row.max_min_angle
        # Each pair is counted from both sides.
        degrees = 90 if form["half_space"] else 180
        assert row.angle_counts.shape == (degrees,)
        assert row.angle_counts.sum() == 2 * len(pairs)
        by_loops, _ = np.histogram(list(pairs.values()), np.arange(degrees + 1))
        # Angles within rounding of a whole degree may fall on either side.
        assert np.abs(row.angle_counts - 2 * by_loops).sum() <= 4
        assert (row.duplicates, row.dead) == (0, 0)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_gap_is_claimed_where_it_is_proven(form):
    is_proven = form["half_space"] or form["distance"] == "euclidean"
    for row in audit(model_of(), **form):
        bound = energy_bound(row.num_neurons, row.dim, **form)
        if is_proven:
            gap = energy_gap(row.energy, row.num_neurons, row.dim, **form)
            # The depthwise filters have too few entries for power 2.
            assert row.has_gap == (row.dim > form["power"] + 1)
            np.testing.assert_allclose(row.gap, gap, rtol=1e-6)
            above = "" if bound.is_attained else "above "
            assert row.bound == above + bound.arrangement
        else:
            assert bound is None
            assert math.isnan(row.gap)
            assert not row.has_gap
            assert row.bound == "not proven"


def test_tiles_give_the_same(monkeypatch):
    features = RNG.normal(size=(70, 5)).astype("float32")
    whole = audit_features(features)[0]
    monkeypatch.setattr(_neighbors, "_TILE_SIZE", 70 * 9)
    tiled = audit_features(features)[0]
    assert tiled == whole
    np.testing.assert_array_equal(tiled.angle_counts, whole.angle_counts)


def test_large_layers_count_a_part_of_the_angles(monkeypatch):
    features = RNG.normal(size=(90, 6)).astype("float32")
    whole = audit_features(features)[0]
    monkeypatch.setattr(_neighbors, "_COUNTED", 30)
    part = audit_features(features)[0]
    assert part == whole
    assert part.angle_counts.sum() == 30 * 89
    assert np.all(part.angle_counts <= whole.angle_counts)


def test_duplicate_opposite_and_dead_neurons():
    features = RNG.normal(size=(8, 20))
    features[3] = 5.0 * features[6]
    features[1] = -0.1 * features[2]
    features[4] = 1e-5 * features[4]
    features[5] = 0.0
    full = audit_features(features)[0]
    assert (full.duplicates, full.dead, full.nearest) == (2, 2, (3, 6))
    assert full.min_angle == pytest.approx(0.0, abs=1e-5)
    assert full.gap > 1e4
    half = audit_features(features, half_space=True)[0]
    assert (half.duplicates, half.dead) == (4, 2)


def test_small_angles_are_exact():
    turn = math.radians(0.003)
    features = [[1, 0, 0], [math.cos(turn), math.sin(turn), 0], [0, 0, 1]]
    row = audit_features(np.array(features, "float32"))[0]
    assert row.min_angle == pytest.approx(0.003, rel=1e-4)
    assert row.nearest == (0, 1)


@pytest.mark.parametrize("half_space", [False, True])
def test_equal_neurons_among_near_ones(half_space):
    # In float32 the cosines of these are all the same.
    features = RNG.normal(size=64) + 3e-4 * RNG.normal(size=(16, 64))
    features[9] = features[4]
    row = audit_features(features.astype("float32"), half_space=half_space)[0]
    assert row.nearest == (4, 9)
    assert row.min_angle == 0.0
    assert row.duplicates == 16


def test_equal_and_near_neurons_in_wide_layers():
    row = audit_features(np.ones((8, 25_088), "float32"))[0]
    assert (row.duplicates, row.min_angle) == (8, 0.0)
    features = RNG.normal(size=(8, 100_352))
    across = RNG.normal(size=100_352)
    features[5] = features[2] + 0.01 * across
    near = audit_features(features.astype("float32"), half_space=True)[0]
    assert near.nearest == (2, 5)
    expected = angle(features[2], features[5], True)
    assert near.min_angle == pytest.approx(expected, rel=1e-5)
    features[5] = features[2]
    same = audit_features(features.astype("float32"))[0]
    assert (same.nearest, same.duplicates) == ((2, 5), 2)
    assert same.min_angle == 0.0


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e-30, "float32"), (1e30, "float32"), (1e-90, "float64")],
)
def test_any_length(scale, dtype):
    if keras.ops.convert_to_tensor(np.ones(1, dtype)).dtype != dtype:
        # JAX has float64 only where it was switched on.
        scale, dtype = 1e-30, "float32"
    features = RNG.normal(size=(6, 9))
    usual = audit_features(features.astype(dtype))[0]
    scaled = audit_features((scale * features).astype(dtype))[0]
    assert scaled.nearest == usual.nearest
    assert scaled.energy == pytest.approx(usual.energy, rel=1e-5)
    assert scaled.dead == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_neurons_that_are_not_finite(value):
    features = RNG.normal(size=(6, 9)).astype("float32")
    features[2, 4] = value
    row = audit_features(features)[0]
    assert math.isnan(row.energy)
    assert math.isnan(row.gap)
    assert row.has_gap
    assert row.dead == 1
    assert 2 not in row.nearest
    assert audit_features(features).to_dict()["rows"][0]["energy"] is None


def test_no_neuron_has_a_direction():
    row = audit_features(np.zeros((3, 4), "float32"))[0]
    assert math.isnan(row.min_angle)
    assert row.nearest is None
    assert row.dead == 3
    assert math.isnan(row.energy)
    assert row.has_few_living
    assert " - " in str(audit_features(np.zeros((3, 4), "float32")))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_dying_changes_nothing_for_the_living(form):
    features = RNG.normal(size=(64, 8)).astype("float32")
    features[::4] = 0.0
    died = audit_features(features, **form)[0]
    names = np.flatnonzero(features[:, 0])
    alone = audit_features(features[names], **form)[0]
    assert (died.num_neurons, died.living, died.dead) == (64, 48, 16)
    assert died.bound == alone.bound
    for name in (
        "energy",
        "gap",
        "min_angle",
        "max_min_angle",
        "random_energy",
    ):
        np.testing.assert_allclose(
            getattr(died, name), getattr(alone, name), rtol=1e-5
        )
    assert died.nearest == tuple(names[list(alone.nearest)])


@pytest.mark.parametrize(
    ("size", "living", "has_gap"),
    [
        (64, 64, True),
        (64, 48, True),
        (64, 16, True),
        (64, 15, False),
        (8, 3, True),
        (8, 2, False),
        (8, 1, False),
        (2, 2, True),
        (3, 2, False),
    ],
)
def test_how_many_must_live(size, living, has_gap):
    features = RNG.normal(size=(size, 8)).astype("float32")
    features[living:] = 0.0
    found = audit_features(features, half_space=True)
    (row,) = found
    assert row.has_few_living is not has_gap
    assert math.isfinite(row.gap) is has_gap
    assert math.isfinite(row.energy) is (living > 1)
    assert ("few living: fewer than 3 neurons" in str(found)) is not has_gap
    if living > 20:  # A layer does not improve by dying.
        assert 0.9 < row.gap < 1.3


@pytest.mark.parametrize("half_space", [False, True])
def test_each_group_has_its_own_living_neurons(half_space):
    layer = layers.DepthwiseConv2D(3, depth_multiplier=5, name="depthwise")
    model = keras.Sequential([keras.Input((5, 5, 4)), layer])
    kernel = RNG.normal(size=(3, 3, 4, 5)).astype("float32")
    kernel[:, :, 1, 2] = kernel[:, :, 3, 0] = kernel[:, :, 3, 4] = 0.0
    kernel[:, :, 2, 1:] = 0.0  # One alone has no pair.
    layer.kernel.assign(kernel)
    row = audit(model, half_space=half_space)[0]
    form = {"half_space": half_space}
    pairs, energies, lowest, random = [], [], [], []
    for channel, size in ((0, 5), (1, 4), (3, 3)):
        columns = kernel[:, :, channel].reshape(9, 5)
        columns = columns[:, np.any(columns != 0.0, axis=0)]
        pairs.append(size * (2 * size - 1 if half_space else (size - 1) / 2))
        energies.append(numpy_reference.energy(columns, **form))
        lowest.append(minimum_energy(size, 9, **form))
        random.append(random_energy(size, 9, **form))
    energy, low, level = (
        np.average(values, weights=pairs)
        for values in (energies, lowest, random)
    )
    assert row.energy == pytest.approx(energy, rel=1e-5)
    assert row.random_energy == pytest.approx(level)
    assert row.gap == pytest.approx((energy - low) / (level - low), rel=1e-4)
    assert (row.living, row.num_neurons, row.dead) == (5, 5, 7)
    assert row.bound == ("orthogonal" if half_space else "simplex")


def test_random_neurons_of_wide_layers_are_random():
    # The levels differ by 5e-6, of which float32 energies keep two digits.
    features = RNG.normal(size=(48, 100_352)).astype("float32")
    row = audit_features(features, half_space=True)[0]
    units = (
        features / np.linalg.norm(features.astype("float64"), axis=1)[:, None]
    )
    squared = (units @ units.T)[np.triu_indices(48, 1)] ** 2
    # A pair has 1 / (1 - c**2) / 2, c**2 on average 1 / d.
    assert row.gap == pytest.approx(100_352 * squared.mean(), rel=1e-4)


def test_short_neurons_are_dead_and_still_have_a_direction():
    features = RNG.normal(size=(20, 6)).astype("float32")
    features[:12] = 0.0
    row = audit_features(features)[0]
    features[15] *= 1e-4
    short = audit_features(features)[0]
    # The median is that of the living: that of all is 0.
    assert (row.dead, short.dead) == (12, 13)
    assert short.energy == pytest.approx(row.energy, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_other_dtypes(dtype):
    features = np.round(8 * RNG.normal(size=(6, 9)))
    row = audit_features(keras.ops.cast(features, dtype))[0]
    usual = audit_features(features.astype("float32"))[0]
    assert row == usual


def test_chosen_layers():
    model = model_of()
    chosen = audit(model, layers=["c*", "hidden"])
    assert [row.layer for row in chosen] == ["conv", "hidden", "classes"]
    with pytest.raises(
        ValueError, match=r"`layers` must name layers .* Received: 'last'"
    ):
        audit(model, layers=["last"])


def test_table():
    found = audit(model_of())
    lines = str(found).splitlines()
    titles = "layer num_neurons groups dim form energy gap bound min_angle"
    last = "max_min_angle nearest duplicates dead"
    assert lines[0].split() == [*titles.split(), *last.split()]
    assert len(lines) == 2 + 4 + 1
    assert lines[2].startswith("conv")
    assert f" {found[0].energy:.5f} " in lines[2]
    assert lines[-1] == "gap: 0 is the bound, 1 is random."
    assert isinstance(found, Audit)
    assert [row.layer for row in found[1:3]] == ["depthwise", "hidden"]
    # Without groups there is no such column.
    assert "groups" not in str(audit(model_of(), layers=["conv", "hidden"]))
    assert "<td>conv</td>" in found._repr_html_()
    assert repr(found) == str(found)


STRANGE = "red\x1b[31m\nnext\u202e\u200b\u2028\ud800\ufe0f\xa0<b>"
PLAIN = "red?[31m?next??????<b>"


def test_names_do_nothing_where_they_are_shown():
    found = audit_features(np.eye(3), name=STRANGE)
    assert f"{PLAIN}  " in str(found)
    assert PLAIN in found.to_csv()
    assert (
        f"<td>{PLAIN.replace('<b>', '&lt;b&gt;')}</td>" in found._repr_html_()
    )
    names = Audit(list(found), [STRANGE, "other"])
    assert f"not known: {PLAIN}, other." in str(names)
    # What is not shown stays as it is.
    assert found[0].layer == STRANGE
    long = audit_features(np.eye(3), name="x" * 10**6)
    assert max(map(len, str(long).splitlines())) < 2000


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        (" =1", "' =1"),
        ("\t=1", "?=1"),
        ("a;=1,@b|-c", "a;'=1,'@b|'-c"),
        ("\uff1d1", "'\uff1d1"),
        ("conv-1/a=b", "conv-1/a=b"),
    ],
)
def test_cells_are_no_formulas(name, cell):
    text = audit_features(-np.eye(5), name=name, half_space=True).to_csv()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["layer"] == cell
    assert float(row["gap"]) <= 0.0  # Numbers stay numbers.


#: Regularizers and the energies by which their kernels are measured.
OWN = {
    "full": (MHE(), "power 2, full"),
    "half": (MHE(half_space=True) + MHE(), "power 2, half"),
    "angles": (
        keras.regularizers.L2() + MHE(power=0.5, distance="angular"),
        "power 0.5, angular, full",
    ),
    "published": (
        MHE.from_reference("half_mhe", "a1"),
        "power 1, angular, half",
    ),
    "output": (
        MHE.from_reference("half_mhe", "1", output_layer=True),
        "power 1, full",
    ),
    "gan": (MHE.from_reference("gan"), "power 0, full"),
    "compressive": (CompressiveMHE(power=1), "power 1, half"),
    "relative": (Separation(), "power 2, half"),
    "decayed": ("l2", "power 2, half"),
}


def forms_of(found):
    """Maps layers to the energies that the table names."""
    rows = csv.DictReader(io.StringIO(found.to_csv()))
    return {row["layer"]: row["form"] for row in rows}


def test_each_kernel_is_measured_with_its_own_energy():
    model = keras.Sequential([keras.Input((8,))])
    for name, (term, _) in OWN.items():
        model.add(layers.Dense(6, name=name, kernel_regularizer=term))
    limited = MaxEnergy(gap=0.5, power=1)
    model.add(layers.Dense(6, name="limited", kernel_constraint=limited))
    model.add(layers.Dense(3, name="classes"))
    found = audit(model)
    expected = {name: form for name, (_, form) in OWN.items()}
    expected |= {"limited": "power 1, full", "classes": "power 2, full"}
    assert forms_of(found) == expected
    rows = found.to_dict()["rows"]
    for row, kernel in zip(rows, neuron_kernels(model), strict=True):
        assert row["energy"] == pytest.approx(kernel.energy(**row["form"]))
    # What is given holds for all kernels, and the rest is their own.
    halves = audit(model, half_space=True, layers=["full", "angles", "classes"])
    assert forms_of(halves) == {
        "full": "power 2, half",
        "angles": "power 0.5, angular, half",
        "classes": "power 2, half",
    }


def test_energies_of_heads_and_of_factors():
    head = keras_mhe.layers.CosFace(3, energy=MHE(power=0), name="head")
    model = keras.Sequential([keras.Input((8,)), head])
    assert forms_of(audit(model)) == {"head": "power 0, full"}
    own = layers.Dense(6, kernel_regularizer=MHE(power=1), name="own")
    model = keras.Sequential([keras.Input((8,)), own, layers.Dense(1)])
    own.enable_lora(2)
    own.quantize("int8")
    assert forms_of(audit(model)) == {"own": "power 1, full"}


def test_table_says_why_gaps_are_missing():
    text = str(audit(model_of(), distance="angular"))
    assert "With angles in full space no minimum is proven." in text
    text = str(audit(model_of(), power=30))
    assert "Random directions of power + 1 or fewer entries" in text


def test_dict_is_json_and_csv_can_be_read():
    found = audit(model_of(), distance="angular", power=1, half_space=True)
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    form = {"power": 1, "distance": "angular", "half_space": True}
    assert [row["form"] for row in content["rows"]] == [form] * len(found)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    for row, plain, text in zip(found, content["rows"], rows, strict=True):
        assert plain["layer"] == text["layer"] == row.layer
        assert plain["energy"] == float(text["energy"]) == row.energy
        assert plain["nearest"] == list(row.nearest)
        assert text["nearest"] == "{} {}".format(*row.nearest)
        assert "angle_counts" not in plain


def test_model_without_kernels():
    model = keras.Sequential([keras.Input((4,)), layers.ReLU()])
    with pytest.raises(ValueError, match=r"`model` must have .* Received"):
        audit(model)


def test_model_without_weights():
    with pytest.raises(ValueError, match="`model` must be built"):
        audit(keras.Sequential([layers.Dense(3)]))


@pytest.mark.parametrize("shape", [(3,), (1, 4), (4, 1), (2, 2, 2)])
def test_features_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"`features` must have the shape"):
        audit_features(np.ones(shape))


@pytest.mark.parametrize("measure", [audit, audit_features])
def test_wrong_arguments(measure):
    with pytest.raises(ValueError, match="`distance` must be"):
        measure(model_of() if measure is audit else np.eye(3), distance="l2")
