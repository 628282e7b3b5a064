"""Typical mistakes, made in a good file: swapped columns, a shifted column, a file that is cut off.

Each function takes and returns a whole file, as UTF-8 bytes.
"""

import csv
import io


def swap_columns(good: bytes, one: str, other: str) -> bytes:
    """Swap the values of two columns in every row; the header stays as it is."""
    header, rows = _read(good)
    a, b = header.index(one), header.index(other)
    for row in rows:
        row[a], row[b] = row[b], row[a]
    return _write(header, rows)


def shift_down(good: bytes, column: str) -> bytes:
    """Move one column down by a row: the first row has no value, each later one has its predecessor's.

    A check finds the first row only, if the column is required; the others look right.
    """
    header, rows = _read(good)
    at = header.index(column)
    values = ["", *(row[at] for row in rows)]
    for row, value in zip(rows, values, strict=False):
        row[at] = value
    return _write(header, rows)


def cut_off(good: bytes, whole_rows: int) -> bytes:
    """End the file in the middle of a row, after `whole_rows` whole ones; ValueError if it has no more rows than that.

    The cut is behind the first column and in front of the last: with three columns or more, the row has too few cells.
    """
    header, rows = _read(good)
    if whole_rows >= len(rows):
        raise ValueError(f"cannot cut after {whole_rows} rows: the file has {len(rows)}")
    before = _write(header, rows[:whole_rows])
    row = _write(rows[whole_rows], [])
    first = len(_write(rows[whole_rows][:1], []))
    last = len(_write(rows[whole_rows][:-1], []))
    return before + row[: (first + last) // 2]


def _read(data: bytes) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    return header, rows


def _write(header: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()
