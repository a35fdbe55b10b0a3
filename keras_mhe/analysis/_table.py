"""Sequences of rows that print as a table and save as CSV."""

import copy
import csv
import dataclasses
import html
import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from keras_mhe._text import in_spreadsheet, printable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

#: From here on numbers are printed with three digits.
_LARGE = 1e4
#: Types that are printed from the left.
_TEXTS = (str, bool, bool | None)


class Table(Sequence[Row], Generic[Row]):
    """Rows, each a dataclass, whose fields made by `column` are printed.

    `print` shows a table, a notebook one with lines, `len`, indices, slices
    and loops give the rows.

    Args:
        rows: Sequence of rows of one class.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Table[Row]": ...
    def __getitem__(self, index: int | slice) -> "Row | Table[Row]":
        if isinstance(index, int):
            return self._rows[index]
        part = copy.copy(self)
        part._rows = self._rows[index]
        return part

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if not self._rows:
            return "\n".join(["no rows", *self.footer()])
        cells = self.cells()
        widths = [
            max(len(row[k]) for row in cells) for k in range(len(cells[0]))
        ]
        lines = [
            "  ".join(
                # Text on the left, numbers on the right.
                cell.ljust(width) if is_text else cell.rjust(width)
                for cell, width, is_text in zip(
                    row, widths, self.are_texts(), strict=True
                )
            ).rstrip()
            for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*lines, *self.footer()])

    def _repr_html_(self) -> str:
        head, *body = [
            [html.escape(cell) for cell in row] for row in self.cells()
        ]
        titles = "".join(f"<th>{cell}</th>" for cell in head)
        rows = "".join(
            f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
            for row in body
        )
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in self.footer())
        return (
            f"<table><thead><tr>{titles}</tr></thead>"
            f"<tbody>{rows}</tbody></table>{notes}"
        )

    def footer(self) -> list[str]:
        """Lines below the table."""
        return []

    def cells(self) -> list[list[str]]:
        """Titles and rows as text."""
        columns = self._printed()
        return [
            [field.name for field in columns],
            *[
                [
                    _text(getattr(row, field.name), field.metadata["format"])
                    for field in columns
                ]
                for row in self
            ],
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns `{"rows": [{name: value, ...}, ...]}`, ready for JSON.

        NaN and infinity, for which JSON has no words, are `None`.
        """
        return {
            "rows": [
                {
                    field.name: field.metadata["plain"](
                        getattr(row, field.name)
                    )
                    for field in self._shown()
                }
                for row in self
            ]
        }

    def to_csv(self) -> str:
        """Returns the rows as comma-separated values with a line of names.

        A text with which a spreadsheet would begin a formula has an apostrophe
        before it there.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self._shown()
        writer.writerow([field.name for field in columns])
        writer.writerows(
            [
                _cell(getattr(row, field.name), field.metadata["format"])
                for field in columns
            ]
            for row in self
        )
        return text.getvalue()

    def _shown(self) -> list[dataclasses.Field[Any]]:
        return [
            field
            for field in dataclasses.fields(self.row_class)
            if "format" in field.metadata
        ]

    def _printed(self) -> list[dataclasses.Field[Any]]:
        """Columns without those that say the usual in every row."""
        return [
            field
            for field in self._shown()
            if any(
                getattr(row, field.name) not in field.metadata["usual"]
                for row in self
            )
        ]

    def are_texts(self) -> list[bool]:
        """Whether the printed columns hold text."""
        return [
            field.type in _TEXTS or callable(field.metadata["format"])
            for field in self._printed()
        ]

    #: Class of the rows.
    row_class: type[Row]


def column(
    form: str | Callable[[Any], str] | None = None,
    usual: tuple[Any, ...] = (),
    plain: Callable[[Any], Any] | None = None,
) -> Any:
    """A field of a row that is a column of the table, by its own name.

    Args:
        form: Format of its numbers, as for `format`, or what says its values
            in words; `None` for `str`.
        usual: Values; a column that holds none but these is not printed.
        plain: Makes of a value one for JSON; `None` for numbers and texts.
    """
    return dataclasses.field(
        metadata={"format": form, "usual": usual, "plain": plain or _plain}
    )


def hidden(*, compare: bool = True) -> Any:
    """A field of a row that is in no table.

    Args:
        compare: Whether rows with other values are different.
    """
    return dataclasses.field(repr=False, compare=compare)


def _text(value: Any, form: str | Callable[[Any], str] | None) -> str:
    if callable(form):
        return form(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(str(entry) for entry in value)
    if isinstance(value, float) and abs(value) >= _LARGE:
        return f"{value:.3g}"
    return printable(format(value, form) if form else str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def _cell(value: Any, form: str | Callable[[Any], str] | None) -> Any:
    value = form(value) if callable(form) else _plain(value)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return in_spreadsheet(value) if isinstance(value, str) else value
