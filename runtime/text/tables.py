"""Tables for terminals of any width: a cell is whole or not there, so no two look alike and a path can be copied."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.text.terminal import visible, width, write_line

_GAP: Final = 2
_LEAST_FOLDED: Final = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and what becomes of it where the table is too wide: `fold` breaks its text between words, `under` puts
    it on a line of its own below the row, `spare` leaves it out (the highest number first; 0: never)."""

    name: str
    right: bool = False
    fold: bool = False
    under: bool = False
    spare: int = 0


def show(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout, as wide as the terminal at most."""
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", None)
    head, *lines = laid_out(columns, rows, width()) or [""]
    write_line(f"\x1b[1m{head}\x1b[0m" if bold else head)
    for line in lines:
        write_line(line)


def laid_out(columns: Sequence[Column], rows: Iterable[Sequence[str]], room: int | None) -> list[str]:
    """The table's lines. What does not fit in `room` columns (None: all does) folds, goes below its row or is left out;
    where that does not help, each row becomes a list of its cells, a line each."""
    cells = [[visible(cell) for cell in row] for row in rows]
    left = list(range(len(columns)))
    if room is None:
        return _grid(columns, cells, left, _natural(columns, cells, left), [])
    if (sizes := _sizes(columns, cells, left, room, fold=False)) is not None:
        return _grid(columns, cells, left, sizes, [])
    below = [index for index in left if columns[index].under]
    left = [index for index in left if index not in below]
    spare = sorted((index for index in left if columns[index].spare), key=lambda index: columns[index].spare)
    gone: list[int] = []
    while True:
        if (sizes := _sizes(columns, cells, left, room, fold=True)) is not None:
            lines = _grid(columns, cells, left, sizes, below)
            if gone:
                names = ", ".join(columns[index].name for index in sorted(gone))
                lines += textwrap.wrap(f"(No room for: {names}. --json has all.)", room)
            return lines
        if not spare:
            return _stacked(columns, cells)
        gone.append(spare.pop())
        left.remove(gone[-1])


def _natural(columns: Sequence[Column], cells: list[list[str]], shown: list[int]) -> list[int]:
    from rich.cells import cell_len

    return [max(cell_len(text) for text in (columns[i].name, *(row[i] for row in cells))) for i in shown]


def _sizes(
    columns: Sequence[Column], cells: list[list[str]], shown: list[int], room: int, *, fold: bool
) -> list[int] | None:
    """How wide each column is to be so that the table fits; None: it can't."""
    sizes = _natural(columns, cells, shown)
    over = sum(sizes) + _GAP * (len(sizes) - 1) - room
    if over <= 0:
        return sizes
    for place, index in enumerate(shown):
        if fold and columns[index].fold:
            words = [word for row in cells for word in row[index].split()]
            least = max((len(word) for word in words), default=0)  # a word is never broken
            size = sizes[place] - over
            return None if size < max(_LEAST_FOLDED, least) else [*sizes[:place], size, *sizes[place + 1 :]]
    return None


def _grid(
    columns: Sequence[Column], cells: list[list[str]], shown: list[int], sizes: list[int], below: list[int]
) -> list[str]:
    lines = [_line([columns[index].name for index in shown], columns, shown, sizes)]
    for row in cells:
        folded = [
            textwrap.wrap(row[index], size) if len(row[index]) > size and columns[index].fold else [row[index]]
            for index, size in zip(shown, sizes, strict=True)
        ]
        for number in range(max(len(parts) for parts in folded)):
            parts = [parts[number] if number < len(parts) else "" for parts in folded]
            lines.append(_line(parts, columns, shown, sizes))
        lines += [f"  {columns[index].name} {row[index]}" for index in below if row[index]]
    return lines


def _line(texts: Sequence[str], columns: Sequence[Column], shown: Sequence[int], sizes: Sequence[int]) -> str:
    from rich.cells import cell_len

    padded = []
    for text, index, size in zip(texts, shown, sizes, strict=True):
        blank = " " * (size - cell_len(text))
        padded.append(blank + text if columns[index].right else text + blank)
    return (" " * _GAP).join(padded).rstrip()


def _stacked(columns: Sequence[Column], cells: list[list[str]]) -> list[str]:
    label = max(len(column.name) for column in columns)
    lines: list[str] = []
    for row in cells:
        lines += [""] if lines else []
        lines += [
            f"{column.name:<{label}}  {text}"
            for column, text in zip(columns, row, strict=True)
            if text not in ("", "-")
        ]
    return lines
