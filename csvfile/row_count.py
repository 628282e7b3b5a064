"""Whether a file has more rows than a number: counted as the readers cut it, and no further than needed."""

from __future__ import annotations

from pathlib import Path

from csvfile.columns import Wanted
from csvfile.cutter import Limits, cut
from csvfile.header import HEAD_BYTES, look_at_header
from csvfile.layout import layout_of
from schemas.descriptors.datasets import Dataset
from schemas.job import Source

_PIECE_BYTES = 256 * 1024


def rows_beyond(path: Path, source: Source, dataset: Dataset, limits: Limits, most: int) -> int | None:
    """A number of rows above `most` that the file at `path` has, at least; None: it has at most so many. Blocks.

    `limits` are those of the readers. A file has no more rows than lines: one with fewer is not read.

    Raises:
        CsvFileError: it can't be read to there.
        OSError: the same.
    """
    if source.lines is not None and source.lines - 1 <= most:
        return None
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES + 1)
        header = look_at_header(
            head[:HEAD_BYTES],
            len(head) <= HEAD_BYTES,
            dataset,
            Wanted(recorded=source.columns),
            layout_of(source.format),
        )
        file.seek(header.end.bytes)
        rows = 0
        for block in cut(iter(lambda: file.read(_PIECE_BYTES), b""), header.end, header.delimiter, limits):
            rows += block.rows if block is not None else 0
            if rows > most:
                return rows
    return None
