"""Parts of the GAN program: variants, batches, sheets, options, snapshots."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from generation.batches import GANBatches, fixed_noise, to_network, to_pixels
from generation.comparison import format_table, summarize
from generation.monitor import by_step, spectra
from generation.options import parse, recipe_of, variant_of
from generation.recipes import PUBLISHED, SHORT, Recipe
from generation.sheets import sheet, write_animation, write_sheet
from generation.training import Run, build, due_epochs
from generation.variants import VARIANTS, Variant
from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization
from keras_mhe.regularizers import PublishedGANMHE
from support.command_line import refused

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (10, 8, 8, 1), dtype="uint8")


# Variants.


@pytest.mark.parametrize(
    "label",
    [
        *VARIANTS,
        "mhe:half:2@0.1",
        "sn_mhe:full:a0@3",
        "mhe:half:2@0.12345678",
    ],
)
def test_labels_are_read_back(label):
    variant = Variant.parse(label)
    assert variant.label == label
    assert not set(variant.folder) & set(":@/")


@pytest.mark.parametrize(
    "label",
    [
        "",
        "wgan",
        "sn:full:2@1",
        "mhe:2@1",
        "mhe:half:2",
        "mhe:half:3@1",
        "mhe:half:2@-1",
        "mhe:half:2@x",
        "mhe:half:2@inf",
        "mhe:half:published@1",
    ],
)
def test_labels_that_are_wrong(label):
    with pytest.raises(ValueError, match="a variant is VARIANT"):
        Variant.parse(label)


def test_published_terms_have_the_shipped_strengths():
    for name, strength in (("mhe", 2e-6), ("sn_mhe", 2e-7)):
        term = Variant(name).regularizer()
        assert type(term) is PublishedGANMHE
        assert term.strength == strength
    for name in ("baseline", "sn"):
        assert Variant(name).regularizer() is None


def test_other_terms():
    term = Variant.parse("mhe:half:a1@0.25").regularizer()
    assert type(term) is MHE
    assert (term.power, term.distance) == (1.0, "angular")
    assert term.half_space
    assert term.strength == 0.25


# Batches.


def batches(**options):
    return GANBatches(
        PIXELS,
        **(
            {"batch_size": 4, "steps_per_epoch": 5, "flip": False, "seed": 3}
            | options
        ),
    )


def test_a_batch_holds_images_and_two_noises():
    ((images, noise, more_noise),) = batches()[1]
    assert images.shape == (4, 8, 8, 1)
    assert images.dtype == noise.dtype == more_noise.dtype == "float32"
    assert noise.shape == more_noise.shape == (4, 128)
    assert not np.allclose(noise, more_noise)
    known = {tuple(x.ravel()) for x in to_network(PIXELS)}
    assert all(tuple(x.ravel()) in known for x in images)


def everything(stream, epochs):
    parts = []
    for epoch in epochs:
        stream.begin_epoch(epoch)
        parts += [stream[index][0] for index in range(len(stream))]
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def test_batches_are_a_function_of_seed_and_step():
    # Two batches make a pass, five an epoch: epochs begin amid passes.
    straight = everything(batches(flip=True), range(3))
    resumed = everything(batches(flip=True), [2])
    for one, other in zip(straight, resumed, strict=True):
        assert len(one) == 3 * 5 * 4
        np.testing.assert_array_equal(one[2 * 5 * 4 :], other)
    # However long an epoch is.
    for one, other in zip(
        straight,
        everything(batches(flip=True, steps_per_epoch=3), range(5)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    another = everything(batches(flip=True, seed=4), range(3))
    assert not np.isclose(straight[1], another[1]).any()


def test_flips_mirror_about_half_of_the_images():
    plain, _, _ = everything(batches(), range(4))
    flipped, _, _ = everything(batches(flip=True), range(4))
    is_same = (plain == flipped).all(axis=(1, 2, 3))
    is_mirrored = (plain[:, :, ::-1] == flipped).all(axis=(1, 2, 3))
    assert (is_same | is_mirrored).all()
    assert 0.3 < is_mirrored.mean() < 0.7


def test_a_pass_shows_no_image_twice_and_passes_differ():
    images = everything(batches(), range(2))[0].reshape(5, 8, -1)
    for shown in images:
        assert len(np.unique(shown, axis=0)) == 8
    assert len({shown.tobytes() for shown in images}) == 5


def test_pixels_survive_the_way_to_the_network_and_back():
    every = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
    scaled = to_network(every)
    assert (scaled.min(), scaled.max()) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_pixels(scaled), every)
    assert to_pixels(np.array([-3.0, 3.0])).tolist() == [0, 255]


def test_fixed_noise_is_not_that_of_the_batches():
    noise = fixed_noise(4, 3)
    np.testing.assert_array_equal(noise, fixed_noise(9, 3)[:4])
    assert not np.allclose(noise, batches()[0][0][1])


# Sheets.


def test_sheet_puts_images_side_by_side():
    table = sheet(PIXELS, columns=4)
    # Enlarged four times, with a line around each.
    assert table.shape == (3 * 34, 4 * 34)
    np.testing.assert_array_equal(table[1:33:4, 35:67:4], PIXELS[1, :, :, 0])
    assert not table[68:, 68:].any()
    assert sheet(np.zeros((2, 32, 32, 3), "uint8")).shape == (34, 272, 3)


def test_pictures(tmp_path):
    paths = [
        write_sheet(np.roll(PIXELS, k, axis=0), tmp_path / f"{k}.png")
        for k in range(3)
    ]
    animation = write_animation(paths, tmp_path / "all.gif")
    with Image.open(animation) as opened:
        assert opened.n_frames == 3
        durations = []
        for frame in range(3):
            opened.seek(frame)
            durations.append(opened.info["duration"])
        # The last one stays.
        assert durations == [200, 200, 2000]
        opened.seek(0)
        size = opened.size
    with Image.open(paths[0]) as opened:
        assert opened.size == size


def test_animation_keeps_colors(tmp_path):
    x, y = np.meshgrid(np.arange(32.0), np.arange(32.0))
    colors = np.stack([8 * x, 8 * y, 255 - 4 * (x + y)], axis=-1)
    path = write_sheet(colors.astype("uint8")[None], tmp_path / "sheet.png")
    animation = write_animation([path], tmp_path / "all.gif")
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB")).astype(int)
    with Image.open(animation) as opened:
        shown = np.asarray(opened.convert("RGB")).astype(int)
    # The image itself, not the black that fills the row.
    error = np.abs(shown - expected)[1:33, 1:33]
    assert error.mean() < 5.0


def test_files_are_ordered_by_step():
    names = ["generator_1000000.keras", "generator_950000.keras"]
    assert by_step(map(Path, names)) == [Path(n) for n in reversed(names)]


# Singular values.


def test_spectra_are_those_of_the_kernels_that_compute():
    recipe = Recipe(steps=1, width=0.05)
    networks = {
        name: build(Run("digits", Variant(name), recipe, 0), (8, 8, 1))
        for name in ("baseline", "sn")
    }
    plain, normalized = (
        spectra(gan.discriminator) for gan in networks.values()
    )
    assert list(plain) == list(normalized)
    assert list(plain) == ["conv0_0", "conv1_0", "conv1_1", "logit"]
    for layer in networks["baseline"].discriminator.layers:
        if layer.name in plain:
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            expected = np.linalg.svd(
                kernel.reshape(-1, kernel.shape[-1]), compute_uv=False
            )
            np.testing.assert_allclose(
                plain[layer.name], expected, rtol=1e-4, atol=1e-6
            )
            ratio = normalized[layer.name] / plain[layer.name]
            # Both have the same raw kernel: one factor for all values.
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
            assert ratio[0] > 1.5


# Comparison.


def run_metrics(score, distance, best):
    return {
        "last": {
            "classifier_score": score,
            "frechet_distance": distance,
            "kernel_distance": distance / 10,
        },
        "best": {"classifier_score": best},
    }


def test_table_by_hand():
    metrics = {
        "baseline": [run_metrics(4.0, 6.0, 4.5), run_metrics(5.0, 8.0, 5.5)],
        "sn": [run_metrics(5.0, 5.0, 5.0), run_metrics(5.5, 4.0, 6.0)],
    }
    first, second = summarize(metrics, [3, 5])
    assert (first.difference, first.frechet_difference) == (None, None)
    assert second.seeds == [3, 5]
    assert second.classifier_score == 5.25
    assert second.best_classifier_score == 5.5
    np.testing.assert_allclose(second.classifier_score_spread, 0.5 / np.sqrt(2))
    np.testing.assert_allclose(second.frechet_distance_spread, 1 / np.sqrt(2))
    assert second.difference == 0.75
    assert second.frechet_difference == -2.5
    # Student's t with one degree of freedom is 12.706.
    np.testing.assert_allclose(
        [second.difference_interval, second.frechet_difference_interval],
        [12.706 * 0.25, 12.706 * 1.5],
        rtol=1e-4,
    )
    real = run_metrics(7.5, 0.5, 0)["last"]
    rows = format_table([first, second], real).splitlines()
    assert rows[-2] == (
        "| sn | 5.250 ± 0.354 | 4.500 ± 0.707 | 0.4500 | 5.500 "
        "| +0.750 ± 3.177 | -2.500 ± 19.059 |"
    )
    assert rows[-1].startswith("| real test images | 7.500 | 0.500 | 0.0500 |")


# Options.


def test_defaults():
    options = parse([])
    assert variant_of(options) == Variant("sn_mhe")
    assert recipe_of(options) == SHORT["digits"]
    assert recipe_of(parse(["--recipe", "published"])) == PUBLISHED


def test_options_change_variant_and_recipe():
    options = parse(
        [
            "--variant",
            "mhe",
            "--power_s",
            "0",
            "--half_space",
            "--strength",
            "0.5",
            "--steps",
            "7",
            "--width",
            "0.1",
            "--flip",
            "--dataset",
            "cifar10",
        ]
    )
    assert variant_of(options).label == "mhe:half:0@0.5"
    recipe = recipe_of(options)
    assert (recipe.steps, recipe.width, recipe.flip) == (7, 0.1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--variant sn --strength 1", "--strength does nothing with"),
        ("--half_space", "--half_space does nothing with the published"),
        ("--power_s 2", "--power_s 2 needs a --strength"),
        ("--seeds 1 2", "--seeds goes with --compare"),
        ("--compare sn sn", "--compare names sn twice"),
        ("--compare sn --seeds 1 1", "--seeds names 1 twice"),
        ("--compare sn --variant mhe", "--variant does nothing with"),
        ("--compare dcgan", "a variant is VARIANT"),
        ("--evaluate m --steps 3", "--steps does nothing with --evaluate"),
        ("--generate 0 m", "needs a number of images >= 1"),
        ("--generate 3 m --evaluate m", "are two jobs"),
        ("--dataset cifar100", "invalid choice"),
        ("--average 1", "must be a number from 0 to less than 1"),
        ("--no-scores --inception f", "--inception does nothing with"),
        ("--evaluate m --no-scores", "--scores does nothing with"),
        (
            "--evaluate m --output m.keras",
            "--output of --evaluate must end in .json",
        ),
        (
            "--generate 3 m --output m.png",
            "--output of --generate must end in .npz",
        ),
        ("--evaluate train --seed 1", "--seed does nothing with"),
        ("--generate 3 m --recipe short", "--recipe does nothing with"),
        ("--generate 3 m --dataset digits", "--dataset does nothing with"),
        ("--data_dir f", "--data_dir does nothing with digits"),
        ("--recipe published --scored 5", "--scored must be at least 10"),
        ("--scored 3", "--scored must be at least 4"),
    ],
)
def test_wrong_options(arguments, message, capsys):
    assert message in refused(parse, arguments.split(), capsys)


def test_a_seed_gives_the_same_weights_to_every_variant():
    recipe = Recipe(steps=1, width=0.05)

    def weights(variant, seed):
        gan = build(Run("digits", Variant(variant), recipe, seed), (8, 8, 1))
        layers = (gan.generator, gan.discriminator)
        kernels = [
            np.asarray(keras.ops.convert_to_numpy(w))
            for network in layers
            for w in network.trainable_weights
        ]
        return np.concatenate([k.ravel() for k in kernels])

    reference = weights("baseline", 0)
    for variant in ("sn", "mhe", "sn_mhe"):
        np.testing.assert_array_equal(weights(variant, 0), reference)
    assert not np.allclose(weights("baseline", 1), reference)


@pytest.mark.parametrize(
    ("epochs", "snapshots", "expected"),
    [
        (10, 5, {2, 4, 6, 8, 10}),
        (3, 10, {1, 2, 3}),
        (7, 1, {7}),
        (5, 2, {3, 5}),
    ],
)
def test_snapshots_are_evenly_spread(epochs, snapshots, expected):
    assert due_epochs(epochs, snapshots) == expected


def test_wrap():
    layer = keras.layers.Dense(1, name="logit")
    assert Variant("mhe").wrap(layer) is layer
    wrapped = Variant("sn").wrap(layer)
    assert type(wrapped) is SpectralNormalization
    assert wrapped.name == "sn_logit"
