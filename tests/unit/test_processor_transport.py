"""What Faust commits where offsets hold no records: the ends of transactions, and what was aborted."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from faust.types import TP
from intervaltree import IntervalTree

from processor.transport import CommittedTransport

PARTITION = TP("rows", 0)


def committed_after(offsets: list[int]) -> int | None:
    """What is committed once records at these offsets have come and are acknowledged, one after another."""
    consumer: Any = object.__new__(CommittedTransport.Consumer)
    consumer._acked, consumer._acked_index = defaultdict(list), defaultdict(set)
    consumer._gap, consumer._committed_offset = defaultdict(IntervalTree), defaultdict(lambda: None)
    before: int | None = None
    for offset in offsets:
        if before and offset - before > 1:  # as Consumer._drain_messages does
            run_gap(consumer, before + 1, offset)
        before = offset
        consumer._acked[PARTITION].append(offset)
        new = consumer._new_offset(PARTITION)
        if new is not None:
            consumer._committed_offset[PARTITION] = new
    result: int | None = consumer._committed_offset[PARTITION]
    return result


def run_gap(consumer: Any, first: int, last: int) -> None:
    gap = consumer._add_gap(PARTITION, first, last)
    try:
        while True:
            gap.send(None)
    except StopIteration:
        return


@pytest.mark.parametrize(
    "offsets", [[0, 1, 2], [0, 2, 4], [0, 4, 6], [0, 9, 10, 15], [4, 5], [7, 20, 22], [0, 2, 9], [3, 5, 6, 11, 13]]
)
def test_gaps_are_passed(offsets: list[int]) -> None:
    assert committed_after(offsets) == offsets[-1] + 1
