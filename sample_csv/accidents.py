"""The accidents Sluice exists for, done to a good file: swapped columns, shifted phones, a file cut off.

Whole files in and out, as UTF-8 bytes; for files that fit in memory.
"""

import csv
import io


def swap_columns(good: bytes, one: str, other: str) -> bytes:
    """The header stays right; in every row the values of the two columns have changed places."""
    header, rows = _read(good)
    a, b = header.index(one), header.index(other)
    for row in rows:
        row[a], row[b] = row[b], row[a]
    return _write(header, rows)


def shift_down(good: bytes, column: str) -> bytes:
    """One column moved down by a row: the first row has no value, each later one has its predecessor's.

    Only the first row can be told to be wrong, if the column is required; the others look right.
    """
    header, rows = _read(good)
    at = header.index(column)
    values = ["", *(row[at] for row in rows)]
    for row, value in zip(rows, values, strict=False):
        row[at] = value
    return _write(header, rows)


def cut_off(good: bytes, whole_rows: int) -> bytes:
    """The file ends in the middle of a row, after `whole_rows` whole ones; ValueError if it has no more than that.

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
