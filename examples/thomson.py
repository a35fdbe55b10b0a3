"""Thomson's problem: points that repel each other on a sphere.

How do they lie when their energy is lowest? You learn three ways to lower an
energy:

- a constraint, `EnergyDescent`, behind an optimizer that does nothing,
- the regularizer `MHE`, with Adam, on a layer without any other loss,
- `energy_and_gradient`, for an optimizer from elsewhere: SciPy's L-BFGS.

All begin with the same random points, and end at the lowest energies that are
known, in half a minute:

    KERAS_BACKEND=torch python examples/thomson.py

Other points, spheres and energies; repelled by opposites too, as lines are:

    python examples/thomson.py --points 9 16 --dim 8 --power 2 --ways lbfgs
    python examples/thomson.py --points 3 4 6 --half_space
"""

import dataclasses
import functools
import math
import sys
from pathlib import Path
from typing import Any, Literal

import runs
import keras
import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy import optimize
from scipy.spatial import ConvexHull

from keras_mhe import MHE, analysis
from keras_mhe.constraints import EnergyDescent
from keras_mhe.ops import energy_and_gradient, hyperspherical_energy


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Spreads points on a sphere, and compares with what is known."""

    points: tuple[int, ...] = (4, 6, 12, 32)  # Numbers of points.
    dim: int = 3  # Dimension of the space around the sphere.
    power: float = 1.0  # Of the distance; 0 is its logarithm.
    half_space: bool = False  # They repel opposites of others, as lines do.
    ways: tuple[Literal["constraint", "regularizer", "lbfgs"], ...] = (
        "constraint", "regularizer", "lbfgs",
    )  # fmt: skip
    starts: int = 4  # Random beginnings, of which the lowest end counts.
    steps: int = 1000  # Of each way, about.
    seed: int = 0  # Of the random beginnings.
    output: Path = Path("runs/thomson")
    """Folder for points.json, and points.png of the ordinary sphere."""

    def __post_init__(self) -> None:
        """Refuses single points, spaces without a sphere, and no way."""
        super().__post_init__()
        if not (self.ways and self.points) or min(*self.points, self.dim) < 2:
            raise ValueError("--points and --dim must be at least 2.")

    @property
    def form(self) -> dict[str, Any]:
        """The library's arguments that say which energy it is."""
        return {"power": self.power, "half_space": self.half_space}


# What is known --------------------------------------------------------------

#: Lowest energies that were ever found on the ordinary sphere, for power 1.
#: "Thomson problem", Wikipedia.
FOUND = {
    5: 6.474691495, 7: 14.452977414, 8: 19.675287861, 10: 32.71694946,
    16: 92.911655303, 20: 150.881568334, 24: 223.347074052,
    32: 412.261274651, 50: 1055.182314726, 72: 2255.001190975,
}  # fmt: skip

#: Points and dimension of proven minima for every power: cosines of a point
#: with the others, and how many have each. Cohn and Kumar, "Universally
#: optimal distribution of points on spheres", 2007, arXiv:math/0607446.
PROVEN = {
    (12, 3): [(-1, 1), (5**-0.5, 5), (-(5**-0.5), 5)],  # Icosahedron.
    (16, 5): [(-0.6, 5), (0.2, 10)],
    (27, 6): [(-0.5, 10), (0.25, 16)],
    (56, 7): [(-1, 1), (1 / 3, 27), (-1 / 3, 27)],
    (240, 8): [(-1, 1), (0, 126), (0.5, 56), (-0.5, 56)],  # Roots of E8.
}


def best_known(options: Options, count: int) -> tuple[float, str]:
    """Returns an energy, and whether it is proven, found or only a bound."""
    dim, power, pairs = options.dim, options.power, math.comb(count, 2)
    # Of the regular simplex, or of orthogonal lines.
    lowest = pairs * analysis.minimum_energy(count, dim, **options.form)
    is_reached = count <= dim or (count == dim + 1 and not options.half_space)
    if is_reached or options.half_space:
        return lowest, "proven" if is_reached else "bound"
    code = PROVEN.get((count, dim))
    if dim == 2:
        code = [(math.cos(2 * math.pi * k / count), 1) for k in range(1, count)]
    elif count == 2 * dim:
        code = [(-1, 1), (0, count - 2)]
    if code is not None:
        cosines, numbers = np.array(code).T
        distances = np.sqrt(2 - 2 * cosines)
        of_pairs = distances**-power if power else -np.log(distances)
        return float(numbers @ of_pairs) * count / 2, "proven"
    if (dim, power) == (3, 1) and count in FOUND:
        return FOUND[count], "found"
    return lowest, "bound"


# Three ways -----------------------------------------------------------------


def by_constraint(options: Options, points: np.ndarray) -> np.ndarray:
    """Goes ten steps downhill after each step of the optimizer."""
    groups, sgd = options.starts, keras.optimizers.SGD(0.0)
    descent = EnergyDescent(10, rate=10.0, groups=groups, **options.form)
    steps = -(-options.steps // 10)
    return fitted(points, sgd, steps, kernel_constraint=descent)


def by_regularizer(options: Options, points: np.ndarray) -> np.ndarray:
    """Trains with Adam, whose rate falls."""
    rate = keras.optimizers.schedules.CosineDecay(0.05, options.steps)
    # Its strength makes up for the mean over the groups.
    mhe = MHE(float(options.starts), groups=options.starts, **options.form)
    adam = keras.optimizers.Adam(rate)
    return fitted(points, adam, options.steps, kernel_regularizer=mhe)


def fitted(points: np.ndarray, optimizer: Any, steps: int, **acts: Any) -> Any:
    """Trains a layer whose kernel holds the points, on zeros."""
    dim, columns = points.shape
    layer = keras.layers.Dense(columns, use_bias=False, **acts)
    model = keras.Sequential([keras.Input((dim,)), layer])
    layer.set_weights([points])
    model.compile(optimizer, "mse")
    zeros = np.zeros((steps, dim)), np.zeros((steps, columns))
    model.fit(*zeros, batch_size=1, shuffle=False, verbose=0)
    return layer.get_weights()[0]


def by_lbfgs(options: Options, points: np.ndarray) -> np.ndarray:
    """Spreads start by start."""

    def energy(vector: np.ndarray) -> tuple[float, np.ndarray]:
        kernel = vector.reshape(options.dim, -1).astype("float32")
        value, gradient = energy_and_gradient(kernel, **options.form)
        gradient = keras.ops.convert_to_numpy(gradient)
        return float(value), gradient.ravel().astype("float64")

    given = {"method": "L-BFGS-B", "jac": True}
    given["options"] = {"maxiter": options.steps, "ftol": 1e-12, "gtol": 1e-8}
    ends = []
    for start in np.split(points, options.starts, axis=1):
        end = optimize.minimize(energy, start.ravel(), **given).x
        ends.append(end.reshape(start.shape))
    return np.concatenate(ends, axis=1).astype("float32")


WAYS = {
    "constraint": by_constraint,
    "regularizer": by_regularizer,
    "lbfgs": by_lbfgs,
}


def spread(options: Options, count: int, bar: Any) -> tuple[Any, np.ndarray]:
    """Returns the lowest energy of each way, and the best points of all."""
    # All starts at once: groups of columns that do not meet each other.
    generator = np.random.default_rng((options.seed, count, options.dim))
    points = generator.normal(size=(options.dim, options.starts * count))
    points = (points / np.linalg.norm(points, axis=0)).astype("float32")
    energies, ends = {}, {}
    for way in options.ways:
        for end in np.split(WAYS[way](options, points), options.starts, axis=1):
            mean = hyperspherical_energy(end, **options.form)
            energy = math.comb(count, 2) * float(mean)
            energies[way] = min(energy, energies.get(way, math.inf))
            ends[energy] = end / np.linalg.norm(end, axis=0)
        bar.add(1)
    return energies, ends[min(ends)]


def draw(axes: Any, points: np.ndarray, *, half_space: bool) -> None:
    """Draws the polyhedron of points, or of lines: opposites are grey."""
    axes.scatter(*points, color="C3", s=30)
    if half_space:
        axes.scatter(*-points, color="0.5", s=20)
        points = np.concatenate([points, -points], axis=1)
    faces = [np.arange(points.shape[1])]
    if np.linalg.matrix_rank(points - points[:, :1], tol=1e-3) == 3:
        faces = ConvexHull(points.T).simplices
    style = {"facecolor": (0.85, 0.9, 1, 0.85), "edgecolor": "C0", "lw": 0.8}
    polyhedron = Poly3DCollection([points.T[face] for face in faces], **style)
    axes.add_collection3d(polyhedron)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axes.set_box_aspect((1, 1, 1), zoom=1.6)
    axes.set_axis_off()


def work(options: Options) -> None:
    """Spreads, prints, writes and draws."""
    options.output.mkdir(parents=True, exist_ok=True)
    pictures = len(options.points)
    bar = keras.utils.Progbar(pictures * len(options.ways))
    figure = Figure(figsize=(3.2 * pictures, 3.4), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    columns = ["points", "best known", *options.ways, "difference", "angle"]
    rows, results = [columns, ["---"] * len(columns)], {}
    for place, count in enumerate(options.points, start=1):
        energies, points = spread(options, count, bar)
        known, kind = best_known(options, count)
        # Relative; but logarithmic energies pass through 0.
        scale = max(abs(known), 0.1 * math.comb(count, 2))
        excess = max(((e - known) / scale for e in energies.values()), key=abs)
        audit = analysis.audit_features(points.T, half_space=options.half_space)
        numbers = [f"{energy:.6f}" for energy in energies.values()]
        numbers += [f"{excess:+.1e}", f"{audit[0].min_angle:.2f}°"]
        rows.append([str(count), f"{known:.6f} ({kind})", *numbers])
        results[count] = {"best_known": known, "kind": kind, **energies}
        results[count]["points"] = points.T.tolist()
        if options.dim == 3:
            axes = figure.add_subplot(1, pictures, place, projection="3d")
            draw(axes, points, half_space=options.half_space)
            axes.set_title(f"{count} points, {min(energies.values()):.4f}")
    settings = dataclasses.asdict(options) | {"output": str(options.output)}
    content = {"settings": settings, "results": results}
    runs.write_json(options.output / "points.json", content)
    print("\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    if options.dim == 3:
        print(runs.save_figure(figure, options.output / "points.png"))


main = functools.partial(runs.main, Options, work)

if __name__ == "__main__":
    sys.exit(main())
