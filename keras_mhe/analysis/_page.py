"""One HTML file with the table of an audit and its pictures."""

import html
import importlib.resources
import math
import os
import string
from pathlib import Path

from keras_mhe._files import write_text
from keras_mhe._text import printable
from keras_mhe.analysis._kernel_audit import KernelAudit
from keras_mhe.analysis._pictures import angle_picture
from keras_mhe.analysis._table import Table

#: What is said about each column.
_MEANINGS = {
    "layer": "Name of the layer, after what holds it.",
    "num_neurons": "Neurons that meet each other: filters, units, vocabulary.",
    "groups": "Blocks of neurons that do not meet each other.",
    "dim": "Entries of each neuron.",
    "form": "Which energy: its power, angles in place of distances, and full "
    "space, or half, where opposite neurons are the same.",
    "energy": "Mean energy of a pair of neurons; low is diverse.",
    "gap": "Where the energy lies: 0 is the bound, 1 is random directions, "
    "above 1 neurons are more alike than random ones.",
    "bound": "Arrangement with the least energy. 'above': the true minimum "
    "is there or higher. 'not proven', 'few living': there is no gap.",
    "min_angle": "Degrees between the two nearest neurons.",
    "max_min_angle": "Degrees that this angle cannot exceed.",
    "nearest": "Which two neurons these are, counted from 0.",
    "duplicates": "Neurons with another one within 0.1 degrees.",
    "dead": "Neurons shorter than 0.001 of the living ones' median length, or "
    "not finite. Those of length 0 are in no other column.",
}


def write_page(
    audit: Table[KernelAudit], path: str | os.PathLike[str], title: str
) -> Path:
    """Writes the page, see `Audit.to_html`."""
    template = importlib.resources.files(__package__) / "page.html"
    page = string.Template(template.read_text(encoding="utf-8")).substitute(
        title=_escaped(title),
        notes=_escaped(" ".join(audit.footer())),
        summary=_items(_summary(audit)),
        heads=_heads(audit),
        rows=_rows(audit),
        meanings=_meanings(audit),
        pictures=_pictures(audit),
    )
    target = Path(path)
    write_text(target, page)
    return target


def _escaped(text: str) -> str:
    """A text, such as a name in a file from elsewhere, for a page."""
    return html.escape(printable(text))


def _summary(audit: Table[KernelAudit]) -> list[str]:
    neurons = sum(row.num_neurons * row.groups for row in audit)
    noun = "layer" if len(audit) == 1 else "layers"
    lines = [f"{len(audit)} {noun} with {neurons} neurons."]
    gaps = [row for row in audit if not math.isnan(row.gap)]
    if gaps:
        worst = max(gaps, key=lambda row: row.gap)
        lines.append(f"Largest gap: {worst.gap:.3g} in {worst.layer}.")
        above = sum(row.gap > 1.0 for row in gaps)
        lines.append(
            f"{above} of {len(gaps)} layers have neurons more alike than "
            "random ones (gap above 1)."
        )
    angles = [row for row in audit if row.nearest is not None]
    if angles:
        nearest = min(angles, key=lambda row: row.min_angle)
        lines.append(
            f"Nearest two neurons: {nearest.min_angle:.2f} degrees, numbers "
            f"{_pair(nearest)} of {nearest.layer}."
        )
    for name, words in (("duplicates", "the same"), ("dead", "dead")):
        count = sum(getattr(row, name) for row in audit)
        lines.append(f"Neurons that are {words}: {count}.")
    return lines


def _pair(row: KernelAudit) -> str:
    return " and ".join(map(str, row.nearest or ()))


def _items(lines: list[str]) -> str:
    return "\n".join(f"<li>{_escaped(line)}</li>" for line in lines)


def _heads(audit: Table[KernelAudit]) -> str:
    return "".join(
        f'<th scope="col"{_class(is_text)}>'
        f'<button type="button">{_escaped(name)}</button></th>'
        for name, is_text in zip(
            audit.cells()[0], audit.are_texts(), strict=True
        )
    )


def _rows(audit: Table[KernelAudit]) -> str:
    lines = []
    names, *body = audit.cells()
    for cells, row in zip(body, audit, strict=True):
        written: list[str] = []
        for cell, name, is_text in zip(
            cells, names, audit.are_texts(), strict=True
        ):
            value = cell if is_text else _value(getattr(row, name))
            attributes = f'data-value="{_escaped(value)}"{_class(is_text)}'
            tag = 'th scope="row"' if not written else "td"
            end = tag.partition(" ")[0]
            written.append(f"<{tag} {attributes}>{_escaped(cell)}</{end}>")
        lines.append(f"<tr>{''.join(written)}</tr>")
    return "\n".join(lines)


def _value(value: object) -> str:
    """What a cell is sorted by; empty for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and math.isinf(value):
        return "Infinity"
    return str(value[0] if isinstance(value, tuple) else value)


def _class(is_text: bool) -> str:
    return ' class="text"' if is_text else ""


def _meanings(audit: Table[KernelAudit]) -> str:
    return "\n".join(
        f"<dt>{_escaped(name)}</dt><dd>{_escaped(_MEANINGS[name])}</dd>"
        for name in audit.cells()[0]
    )


def _pictures(audit: Table[KernelAudit]) -> str:
    figures = []
    for number, row in enumerate(audit):
        svg = angle_picture(row, number)
        words = f"Angles between the neurons of {row.layer}"
        if row.nearest is not None:
            words += f": at least {row.min_angle:.2f} degrees"
        label = _escaped(f"{words}.")
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
        caption = (
            f"{row.layer}: {row.num_neurons} neurons in dimension {row.dim}"
        )
        figures.append(
            f"<figure>{svg}<figcaption>{_escaped(caption)}</figcaption>"
            "</figure>"
        )
    return "\n".join(figures)
