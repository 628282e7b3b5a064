"""Generations of a dataset's rows: the indices they are in, one after the other. Pure.

A job writes into the newest one whose time had come when the job was made. So the same job finds the same index
each time, in any worker, and a repeat of a row meets its own document, also after the next generation has begun.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.indices import data_index

LEAD_MS: Final = 10 * 60 * 1000
"""A worker makes a generation this long before jobs write into it: by then every worker knows it."""
KNOWN_MS: Final = 5 * 60 * 1000
"""A worker's look-up holds for jobs that are made at most this much later. Clocks may differ by as much."""
SINCE: Final = "sluice_since"
"""In the mapping's ``_meta``: the time from which on jobs write into the index, milliseconds since 1970."""


@dataclass(frozen=True, slots=True, order=True)
class Generation:
    """One index of a dataset's rows."""

    since: int
    """0: the first one, which any job may write into that was made before the second."""
    number: int
    index: str


def data_indices(prefix: str, dataset: str) -> str:
    """All indices of a dataset's rows, as a request that reads names them."""
    first = data_index(prefix, dataset)
    return f"{first},{first}.*"


def generation_index(prefix: str, dataset: str, number: int) -> str:
    """The index of a generation, from 1. A dataset's name has no dot, so no other dataset's index has this name."""
    first = data_index(prefix, dataset)
    return first if number == 1 else f"{first}.{number:06d}"


def generations_in(prefix: str, dataset: str, mappings: Mapping[str, Any]) -> list[Generation]:
    """The generations, oldest first, in Elasticsearch's answer about the mappings of `data_indices`."""
    first = data_index(prefix, dataset)
    found = {Generation(0, 1, first)}
    for index, content in mappings.items():
        number = re.fullmatch(re.escape(first) + r"\.(\d{6})", index)
        since = content.get("mappings", {}).get("_meta", {}).get(SINCE)
        if number is not None and isinstance(since, int):
            found.add(Generation(since, int(number[1]), index))
    return sorted(found)


def index_of(generations: Collection[Generation], created_at: int) -> str:
    """The index that a job writes into which was made at this time."""
    return max(one for one in generations if one.since <= created_at or one.number == 1).index


def next_generation(prefix: str, dataset: str, generations: Collection[Generation], now: int) -> Generation:
    """The one to make after these."""
    number = max(one.number for one in generations) + 1
    return Generation(now + LEAD_MS, number, generation_index(prefix, dataset, number))


def alias_actions(prefix: str, dataset: str, generations: Collection[Generation], now: int) -> list[dict[str, Any]]:
    """What to do so that ``<index>.read`` names all generations, and ``<index>.write`` the one of now."""
    first = data_index(prefix, dataset)
    current = index_of(generations, now)
    return [
        *({"add": {"index": one.index, "alias": f"{first}.read"}} for one in generations),
        *(
            {"remove": {"index": one.index, "alias": f"{first}.write", "must_exist": False}}
            for one in generations
            if one.index != current
        ),
        {"add": {"index": current, "alias": f"{first}.write", "is_write_index": True}},
    ]
