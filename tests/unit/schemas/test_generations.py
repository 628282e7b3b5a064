"""Which index a job writes into, and when a dataset gets the next one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from processor.elastic.bulk import BulkSink
from processor.elastic.generations import _MADE, Generations, rolling
from processor.errors import CannotGoOnError
from runtime.clock import Clock
from runtime.datasets import load_datasets
from schemas.generations import (
    KNOWN_MS,
    LEAD_MS,
    SINCE,
    Generation,
    alias_actions,
    data_indices,
    generations_in,
    index_of,
    next_generation,
)
from schemas.indices import data_mapping

FIRST = "s-data-people"
NOW = 1_000_000_000


def described(**since: int) -> dict[str, Any]:
    return {f"{FIRST}.{name[1:]}": {"mappings": {"_meta": {SINCE: at}}} for name, at in since.items()}


def test_a_job_keeps_the_index_of_its_time() -> None:
    found = generations_in("s", "people", {FIRST: {"mappings": {}}, **described(_000002=100, _000003=200)})
    assert [one.index for one in found] == [FIRST, f"{FIRST}.000002", f"{FIRST}.000003"]
    assert [index_of(found, at)[len(FIRST) :] for at in (0, 99, 100, 199, 200)] == [
        "", "", ".000002", ".000002", ".000003",
    ]  # fmt: skip
    assert next_generation("s", "people", found, 300) == Generation(300 + LEAD_MS, 4, f"{FIRST}.000004")


def test_indices_of_other_names_are_none_of_it() -> None:
    other = {"s-data-people-x.000002": {}, f"{FIRST}.backup": {}, f"{FIRST}.000002": {"mappings": {}}}
    assert generations_in("s", "people", other) == [Generation(0, 1, FIRST)]
    assert data_indices("s", "people") == f"{FIRST},{FIRST}.*"


def test_aliases_name_all_and_the_one_of_now() -> None:
    found = generations_in("s", "people", described(_000002=100))
    early, late = (alias_actions("s", "people", found, at) for at in (99, 100))
    assert {"add": {"index": FIRST, "alias": f"{FIRST}.write", "is_write_index": True}} in early
    assert {"add": {"index": f"{FIRST}.000002", "alias": f"{FIRST}.write", "is_write_index": True}} in late
    assert sum("add" in one and one["add"]["alias"].endswith(".read") for one in late) == 2


def test_datasets_with_a_key_keep_one_index() -> None:
    datasets = [SimpleNamespace(name=name, primary_key=key) for name, key in (("a", ()), ("b", ("k",)), ("c", ()))]
    assert rolling(datasets, ["c"]) == ["a"]


class Indices:
    """Elasticsearch's indices of one dataset."""

    def __init__(self) -> None:
        self.size = 0
        self.mappings: dict[str, Any] = {FIRST: {"mappings": {}}}
        self.asked = 0

    def options(self, **_: Any) -> Any:
        return SimpleNamespace(indices=self)

    async def get_mapping(self, **_: Any) -> Any:
        self.asked += 1
        return SimpleNamespace(body=dict(self.mappings))

    async def stats(self, **_: Any) -> Any:
        return SimpleNamespace(body={"_all": {"primaries": {"store": {"size_in_bytes": self.size}}}})

    async def create(self, index: str, mappings: Any) -> Any:
        self.mappings[index] = {"mappings": mappings}

    async def update_aliases(self, actions: Any) -> None: ...


def test_nothing_is_written_into_an_index_that_migrate_has_not_made() -> None:
    """Elasticsearch would make it with the first row, and guess its mapping."""

    async def story() -> None:
        indices = Indices()
        client: Any = SimpleNamespace(indices=indices, options=indices.options)
        generations = Generations("s", BulkSink(client), Clock(now_ms=lambda: NOW))
        job: Any = SimpleNamespace(dataset="people", created_at=NOW)
        later: Any = SimpleNamespace(dataset="people", created_at=NOW + 1)
        for there in ({}, described(_000002=NOW + 1), {"s-data-people-x": {}}):
            indices.mappings = there
            with pytest.raises(CannotGoOnError, match=r"no index s-data-people with .* run `sluice migrate`"):
                await generations.of(job, lambda: None)
            with pytest.raises(CannotGoOnError, match="run `sluice migrate`"):
                await generations.roll("people", 1000, lambda: None)
        indices.mappings = {FIRST: {"mappings": {"dynamic": "strict"}}, **described(_000002=NOW + 1)}
        assert await generations.of(job, lambda: None) == FIRST, "it looks again"
        del indices.mappings[FIRST]  # as an index may be whose jobs are all over
        generations = Generations("s", BulkSink(client), Clock(now_ms=lambda: NOW))
        assert await generations.of(later, lambda: None) == f"{FIRST}.000002"

    asyncio.run(story())


def test_an_index_that_migrate_makes_is_told_from_one_with_a_guessed_mapping() -> None:
    """By the part of its mapping that workers ask for, also where it was made before indices had notes (`_meta`)."""
    asked = {path.removeprefix("*.mappings.") for path in _MADE.split(",")}
    for dataset in load_datasets(None).values():
        made = data_mapping(dataset)
        assert made.keys() & asked and (made.keys() - {"_meta"}) & asked
    assert not {"properties"} & asked


def test_a_worker_learns_of_an_index_before_a_job_may_write_into_it() -> None:
    async def story() -> None:
        indices = Indices()
        client: Any = SimpleNamespace(indices=indices, options=indices.options)
        times = SimpleNamespace(now=NOW, passed=0.0)
        clock = Clock(now_ms=lambda: times.now, monotonic=lambda: times.passed)
        one, other = (Generations("s", BulkSink(client), clock) for _ in range(2))

        def job(created_at: int) -> Any:
            return SimpleNamespace(dataset="people", created_at=created_at)

        def gate() -> None: ...

        assert await other.of(job(NOW), gate) == FIRST
        assert await one.roll("people", 1000, gate) is None
        indices.size = 1001
        begun = await one.roll("people", 1000, gate)
        assert begun == Generation(NOW + LEAD_MS, 2, f"{FIRST}.000002")
        assert await one.roll("people", 1000, gate) is None  # until its time has come
        asked = indices.asked
        assert await other.of(job(NOW + KNOWN_MS - 1), gate) == FIRST and indices.asked == asked
        times.now += LEAD_MS
        assert await other.of(job(begun.since), gate) == begun.index and indices.asked == asked + 1
        assert await other.of(job(begun.since - 1), gate) == FIRST

    asyncio.run(story())


def test_a_worker_learns_of_an_index_although_the_clock_has_been_set_back() -> None:
    async def story() -> None:
        indices = Indices()
        client: Any = SimpleNamespace(indices=indices, options=indices.options)
        times = SimpleNamespace(now=NOW, passed=0.0)
        clock = Clock(now_ms=lambda: times.now, monotonic=lambda: times.passed)
        one, other = (Generations("s", BulkSink(client), clock) for _ in range(2))
        job: Any = SimpleNamespace(dataset="people", created_at=NOW)
        assert await other.of(job, lambda: None) == FIRST
        times.now -= 3_600_000
        indices.size = 1001
        begun = await one.roll("people", 1000, lambda: None)
        assert begun is not None and begun.since < NOW
        times.now, times.passed = begun.since, LEAD_MS / 1000
        later: Any = SimpleNamespace(dataset="people", created_at=begun.since)
        assert await other.of(later, lambda: None) == begun.index

    asyncio.run(story())
