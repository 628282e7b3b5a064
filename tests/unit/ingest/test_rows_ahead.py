"""The first block with a copy of the rows behind it: the blocks themselves are as they were cut."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from csvfile.cutter import Cut, Limits, Place, cut
from ingest.blocks.rows_ahead import MOST_BYTES, with_rows_ahead


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 50), st.integers(1, 40))
def test_blocks_stay_as_they_are_and_the_first_has_what_comes_behind_it(
    rows: int, block_rows: int, ahead: int, piece: int
) -> None:
    data = "".join(f"{number},x\n" for number in range(1, rows + 1)).encode()

    def parts() -> Iterator[Cut | None]:
        chunks = (data[at : at + piece] for at in range(0, len(data), piece))
        return cut(chunks, Place(0, 0), b",", Limits(block_rows, 4096))

    plain = [part for part in parts() if part is not None]
    found = [one for one in with_rows_ahead(parts(), ahead) if one is not None]
    assert [part for part, _ in found] == plain
    assert all(copy == b"" for _, copy in found[1:])
    if found and found[0][1]:
        copied = json.loads(found[0][1])
        following = [row for part in plain[1:] for row in json.loads(part.rows_json)]
        assert copied == following[: len(copied)]
        assert len(copied) + plain[0].rows >= min(ahead, rows)
    elif found:
        assert plain[0].rows >= min(ahead, rows), "nothing is behind it that is wanted"


def test_long_rows_are_not_copied_beyond_what_a_record_takes() -> None:
    line = b"x" * (MOST_BYTES // 8) + b",y\n"
    chunks = iter([line * 20])
    parts = cut(chunks, Place(0, 0), b",", Limits(1, MOST_BYTES))
    (first, copy), *others = [one for one in with_rows_ahead(parts, 1000) if one is not None]
    assert len(first.rows_json) + len(copy) <= MOST_BYTES + 100
    assert len(others) == 19


def test_long_rows_are_not_waited_for_beyond_what_is_copied() -> None:
    line, read = b"x" * (MOST_BYTES // 8) + b",y\n", [0]

    def chunks() -> Iterator[bytes]:
        for _ in range(1000):
            read[0] += 1
            yield line

    found = with_rows_ahead(cut(chunks(), Place(0, 0), b",", Limits(1, MOST_BYTES)), 1000)
    assert next(one for one in found if one is not None)[0].rows == 1
    assert read[0] < 20, "the first block comes before the file has been read"
