"""Table, files and picture of spread points."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.spatial import ConvexHull

from common.angles import pairwise_angles
from common.figures import save_figure
from common.run_folder import (
    versions,
    write_arrays,
    write_json,
    write_text,
)
from common.tables import markdown_table
from spheres.spreading import Result


def table_of(results: Sequence[Result]) -> str:
    """Returns the energies side by side, in Markdown."""
    ways = list(results[0].energies)
    rows = [("points", "to compare with", *ways, "largest difference", "angle")]
    for result in results:
        energies = list(result.energies.values())
        excess = max(map(result.excess, energies), key=abs)
        rows.append(
            (
                str(result.problem.num_points),
                f"{result.reference.energy:.6f} ({result.reference.kind})",
                *[f"{energy:.6f}" for energy in energies],
                f"{excess:+.1e}",
                f"{result.smallest_angle:.2f}°",
            )
        )
    return markdown_table(rows)


def save(
    results: Sequence[Result],
    table: str,
    settings: Mapping[str, int],
    folder: Path,
) -> Path:
    """Writes points, energies and their picture.

    Args:
        results: The results.
        table: Them as `table_of` shows them.
        settings: How the points were spread.
        folder: Where the files go.

    Returns:
        The path of the picture.
    """
    points = {
        f"points_{result.problem.num_points}": result.points
        for result in results
    }
    write_arrays(folder / "points.npz", **points)
    write_text(folder / "energies.md", table + "\n")
    write_json(
        folder / "energies.json",
        {
            "versions": versions(),
            **settings,
            "results": [_record_of(result) for result in results],
        },
    )
    return draw(results, folder / "points.png")


def _record_of(result: Result) -> dict[str, Any]:
    return {
        "num_points": result.problem.num_points,
        "dim": result.problem.dim,
        **result.problem.form,
        "reference": result.reference.energy,
        "kind": result.reference.kind,
        "energies": result.energies,
        "smallest_angle": result.smallest_angle,
    }


def draw(results: Sequence[Result], path: Path) -> Path:
    """Draws points on spheres in three dimensions, else their angles."""
    columns = min(len(results), 4)
    rows = -(-len(results) // columns)
    on_sphere = results[0].problem.dim == 3
    figure = Figure(figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    for index, result in enumerate(results, start=1):
        axes = figure.add_subplot(
            rows, columns, index, projection="3d" if on_sphere else None
        )
        (_draw_sphere if on_sphere else _draw_angles)(axes, result)
        energy = min(result.energies.values())
        axes.set_title(
            f"{result.problem.num_points} points, energy {energy:.4f}",
            fontsize="medium",
        )
    return save_figure(figure, path)


def _draw_sphere(axes: Axes3D, result: Result) -> None:
    points = result.points / np.linalg.norm(result.points, axis=0)
    if result.problem.half_space:
        points = np.concatenate([points, -points], axis=1)
    faces = _faces(points)
    axes.add_collection3d(
        Poly3DCollection(
            points.T[faces],
            facecolors=(0.85, 0.9, 1.0, 0.85),
            edgecolors="C0",
            linewidths=0.8,
        )
    )
    count = result.problem.num_points
    axes.scatter(*points[:, :count], color="C3", s=30)
    axes.scatter(*points[:, count:], color="0.5", s=20)
    axes.set_xlim(-1, 1)
    axes.set_ylim(-1, 1)
    axes.set_zlim(-1, 1)
    axes.set_box_aspect((1, 1, 1), zoom=1.6)
    axes.set_axis_off()


def _faces(points: np.ndarray) -> np.ndarray:
    """Triangles of the polyhedron that the points span, or one polygon."""
    if np.linalg.matrix_rank(points - points[:, :1], tol=1e-3) < 3:
        # Of points in a plane the order around its middle.
        middle = points - points.mean(axis=1, keepdims=True)
        axes, _, _ = np.linalg.svd(middle)
        turn = np.arctan2(axes[:, 1] @ middle, axes[:, 0] @ middle)
        return np.argsort(turn)[None, :]
    return ConvexHull(points.T).simplices


def _draw_angles(axes: Axes, result: Result) -> None:
    angles = pairwise_angles(result.points)
    # Equal angles differ by rounding, which is not to fill the picture.
    low, high = angles.min(), max(angles.max(), angles.min() + 2.0)
    axes.hist(angles, bins=60, range=(low - 1.0, high + 1.0), color="C0")
    axes.set_xlabel("degrees between two points")
    axes.set_yticks([])
