"""The first line of a CSV file, and whether it fits its dataset. Pure."""

from __future__ import annotations

import csv
import io

from schemas.datasets import Dataset, header_problem

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at: a header that is longer than this is none."""
_DELIMITERS = ",;\t"


def head_problem(dataset: Dataset, head: bytes, *, whole: bool = False) -> str | None:
    """What is wrong with the file that begins with `head`, in words; None: its header fits the dataset.

    `whole`: the file has no more bytes than these.
    """
    if not head.strip():
        return f"the file is empty; expected a header with the columns {', '.join(dataset.columns)}"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:1024]:
        return "the file is not text in UTF-8 (it looks like UTF-16 or a binary file); save it as CSV in UTF-8"
    try:
        # The cut may lie inside a character: what is left of it is not looked at.
        text = head.decode("utf-8-sig") if whole else head.decode("utf-8-sig", "ignore")
        first = _first_record(text)
    except UnicodeDecodeError as error:
        return f"the file is not UTF-8 (byte {error.start}: {error.reason}); save it as CSV in UTF-8"
    except csv.Error as error:
        return f"the header can't be read: {error}; expected the columns {', '.join(dataset.columns)}"
    return header_problem(dataset, first)


def _first_record(text: str) -> list[str]:
    lines = io.StringIO(text, newline="")
    for delimiter in sorted(_DELIMITERS, key=lambda sign: -text.split("\n", 1)[0].count(sign))[:1]:
        return next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    return []
