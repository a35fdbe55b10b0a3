"""The SphereFace+ program: a tiny run, and its parts."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_mhe
import runs
import sphereface_plus
from keras_mhe.losses import OneVsAllCrossentropy
from sphereface_plus import HEADS, Options, completed

# Two steps without energy and two with it, of six identities.
SMALL = [
    "--dataset=folders", "--network=small", "--embedding_size=8",
    "--batch_size=9", "--pretrain_epochs=1", "--epochs=1", "--num_pairs=40",
]  # fmt: skip
NAME = (
    "sphereface_4_batch_2_strength_7.0_num_pairs_40_network_small_"
    "embedding_size_8_pretrain_epochs_1_epochs_1_batch_size_9_seed_3"
)
once = pytest.mark.once


def write_people(root, count=26, start=0):
    """Writes three noisy images of a pattern for each person."""
    generator = np.random.default_rng(start)
    for person in range(start, start + count):
        name = f"person{person}"
        (root / name).mkdir(parents=True)
        pattern = generator.integers(0, 256, (4, 4, 3))
        pattern = pattern.repeat(4, 0).repeat(4, 1)
        for number in (1, 2, 3):
            noisy = pattern + generator.normal(0, 20, pattern.shape)
            image = Image.fromarray(noisy.clip(0, 255).astype("uint8"))
            image.save(root / name / f"{name}_{number:04}.png")
    return root


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("data") / "people")


def run(people, output, *arguments):
    return sphereface_plus.main(
        [*SMALL, f"--data_dir={people}", f"--output={output}", *arguments]
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory, people):
    root = tmp_path_factory.mktemp("runs") / "people"
    assert run(people, root, "--strength=7", "--seed=3") == 0
    return root / NAME


def test_a_run_fills_its_folder(trained):
    metrics = runs.read_json(trained / runs.METRICS)
    history = runs.read_history(trained)
    assert metrics["steps"] == 2
    assert history["val_accuracy"][-1] == metrics["verification_accuracy"]
    model = keras.models.load_model(trained / runs.MODEL)
    head = model.get_layer("head")
    assert head.energy.strength == 7.0
    (row,) = keras_mhe.audit(model, **sphereface_plus.WATCHED)
    assert history["energy_gap"][-1] == pytest.approx(row.gap, rel=1e-4)
    # Two steps without energy came before, and lambda goes on.
    assert int(head.step) == 4
    assert history["lambda"][-1] == pytest.approx(1000 / (1 + 0.12 * 4))
    (path,) = trained.parent.with_name("people_pretraining").rglob(runs.MODEL)
    assert keras.models.load_model(path).get_layer("head").energy is None
    for name in ("training.png", "verification.png", "angles.png"):
        with Image.open(trained / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 10


def test_a_trained_embedding_verifies_and_embeds(trained, people, tmp_path):
    model = trained / sphereface_plus.EMBEDDING
    network = keras.models.load_model(model)
    assert not any("mhe" in type(x).__module__ for x in network.layers)
    metrics = runs.read_json(trained / runs.METRICS)
    scores = tmp_path / "scores.json"
    assert run(people, scores, f"--evaluate={model}") == 0
    scores = runs.read_json(scores)
    assert scores == pytest.approx({name: metrics[name] for name in scores})
    command = ["--embed", str(model), str(people), "--mirror=True"]
    output = tmp_path / "embeddings.npz"
    assert sphereface_plus.main([*command, f"--output={output}"]) == 0
    with np.load(output) as arrays:
        embeddings, files = arrays["embeddings"], arrays["files"]
    assert files.tolist() == sorted(map(str, people.rglob("*.png")))
    pixels = np.asarray(Image.open(files[-1]), "float32")
    both = np.stack([pixels, pixels[:, ::-1]])
    expected = keras.ops.convert_to_numpy(network(both)).ravel()
    np.testing.assert_allclose(embeddings[-1], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_pretrained_model(trained, people, tmp_path, capsys):
    root, first = tmp_path / "runs", f"--pretrained={trained / runs.MODEL}"
    assert run(people, root, first, "--learning_rate=1e-30") == 0
    assert not (tmp_path / "runs_pretraining").exists()
    (path,) = root.rglob(runs.MODEL)
    models = map(keras.models.load_model, (path, trained / runs.MODEL))
    kernels = [x.get_layer("features").get_weights()[0] for x in models]
    np.testing.assert_array_equal(*kernels)
    # Methods share the training without energy.
    capsys.readouterr()
    assert run(people, trained.parent, "--energy=none", "--seed=3") == 0
    printed = capsys.readouterr().out
    assert printed.count("finished before") == 1
    assert printed.count(": training") == 1


@once
@pytest.mark.parametrize("name", HEADS)
def test_heads(name):
    options = Options(head=name, energy="full", power_s="a1")
    head = sphereface_plus.head_of(completed(options), 9)
    kind, margin = HEADS[name]
    assert type(head) is kind
    assert (getattr(head, "margin", None), head.energy) == (margin, None)
    energy, decay = head.kernel_regularizer.regularizers
    assert (energy.distance, energy.power) == ("angular", 1)
    assert float(decay.l2) == pytest.approx(2.5e-4)
    options = completed(Options(head=name))
    assert sphereface_plus.head_of(options, 9).energy.strength == 100.0
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    sphereface_plus.compile_model(model, options, 10)
    is_one_vs_all = isinstance(model.loss, OneVsAllCrossentropy)
    assert is_one_vs_all == (name == "sphereface2")


@once
def test_sphereface20_is_the_published_network():
    options = completed(Options(recipe="published"))
    model = sphereface_plus.embedding_network((112, 96, 3), options)
    convolutions = [x for x in model.layers if "conv" in x.name]
    shapes = [tuple(layer.kernel.shape[2:]) for layer in convolutions]
    assert shapes == [
        (3, 64), (64, 64), (64, 64), (64, 128), *[(128, 128)] * 4,
        (128, 256), *[(256, 256)] * 8, (256, 512), (512, 512), (512, 512),
    ]  # fmt: skip
    for layer in convolutions:
        is_first = layer.name.endswith("_1")
        assert layer.strides == ((2, 2) if is_first else (1, 1))
        assert layer.use_bias == is_first
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        deviation = np.prod(kernel.shape[:3]) ** -0.5 if is_first else 0.01
        assert kernel.std() == pytest.approx(deviation, rel=0.05)
    assert sum(isinstance(x, keras.layers.Add) for x in model.layers) == 8
    dense = model.get_layer("features")
    assert tuple(dense.kernel.shape) == (7 * 6 * 512, 512)
    # Decay on kernels and slopes of 20 convolutions and on the dense kernel.
    assert len(model.losses) == 2 * 20 + 1


@once
@pytest.mark.parametrize(
    ("margin", "rates", "edges", "gamma"),
    [
        (1, [0.05, 0.01], [7000, 11_000], 0.12),
        (2, [0.1, 0.01], [5000, 8000], 0.11),
        (3, [0.1, 0.01, 0.001], [4000, 9000, 12_000], 0.11),
        (4, [0.01, 0.001, 0.0001], [4000, 6000, 8000], 0.12),
        (None, [0.1, 0.01, 0.001], [16_000, 24_000, 28_000], 0.12),
    ],
)
def test_published_recipes(margin, rates, edges, gamma):
    """Of the training files; None: of that without energy."""
    given = Options(recipe="published", margin=margin)
    if margin is None:
        given = sphereface_plus.without_energy(given)
    options = completed(given)
    steps = options.epochs * options.steps_per_epoch
    assert (steps, options.lambda_gamma) == (edges[-1], gamma)
    assert (options.batch_size, options.network) == (512, "sphereface20")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    sphereface_plus.compile_model(model, options, steps)
    schedule = model.optimizer._learning_rate
    for rate, begin, end in zip(rates, [0, *edges], edges, strict=False):
        assert float(schedule(begin)) == pytest.approx(rate)
        assert float(schedule(end - 1)) == pytest.approx(rate)


@once
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--num_pairs=10", "10 folds need 20 pairs"),
        ("--margin=5", "--head sphereface: `margin` must be an integer"),
        ("--pretrained={}/other.keras", "is no embedding of images"),
        ("--evaluate={}/other.keras", "is no embedding of images"),
        ("--evaluate={}/note.keras", "cannot be loaded"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    argument, message, people, tmp_path, capsys
):
    layer = keras.layers.Conv2D(2, 8, name="features")
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    model.save(tmp_path / "other.keras")
    (tmp_path / "note.keras").write_text("no model")
    root = tmp_path / "runs"
    assert run(people, root, argument.format(tmp_path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not root.exists()
