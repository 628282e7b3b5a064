"""Which index of a dataset each job writes into; looked up in Elasticsearch, and kept as long as it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from processor.elastic.bulk import BulkSink, Gate
from processor.errors import CannotGoOnError
from runtime.clock import Clock
from schemas.generations import (
    KNOWN_MS,
    SINCE,
    Generation,
    alias_actions,
    data_indices,
    generations_in,
    index_of,
    next_generation,
)
from schemas.job import Job

_MADE: Final = "*.mappings._meta,*.mappings.dynamic"
"""The part of a mapping that one of `migrate` has, and none that Elasticsearch has guessed."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look-up has found. It holds for `KNOWN_MS`, and for jobs that are made before `until`: a clock that is set
    back meanwhile gives later jobs an earlier time."""

    generations: list[Generation]
    until: int
    """Milliseconds since 1970."""
    asked_at: float
    """Seconds of the monotonic clock."""


class Generations:
    """Looks up which index a job writes into, and begins new ones."""

    def __init__(self, prefix: str, sink: BulkSink, clock: Clock) -> None:
        self._prefix = prefix
        self._sink = sink
        self._clock = clock
        self._known: dict[str, _Found] = {}

    async def of(self, job: Job, gate: Gate, sink: BulkSink | None = None) -> str:
        """The index that the job writes into. `sink`: the job's; None: the one of all.

        Raises:
            CannotGoOnError: it is not there, and Elasticsearch would make one with a mapping that it guesses; and as
                `BulkSink.ask`.
        """
        known = self._known.get(job.dataset)
        if known is not None and job.created_at < known.until and self._age_ms(known) < KNOWN_MS:
            return index_of(known.generations, job.created_at)
        found = await self._look_up(job.dataset, job.created_at, gate, sink or self._sink)
        return index_of(found, job.created_at)

    def _age_ms(self, known: _Found) -> float:
        return (self._clock.monotonic() - known.asked_at) * 1000

    async def roll(self, dataset: str, most_bytes: int, gate: Gate) -> Generation | None:
        """Begin a new generation if the newest one has more bytes than that; None: it has not. Raises as `of`.

        The aliases follow. Several workers may do so at once: the name of the index decides.
        """
        client, now = self._sink.client, self._clock.now_ms()
        found = await self._look_up(dataset, now, gate, self._sink)
        actions = alias_actions(self._prefix, dataset, found, now)
        await self._sink.ask(lambda: client.indices.update_aliases(actions=actions), gate)
        newest = found[-1]
        if newest.since > now or await self._size(newest.index, gate) <= most_bytes:
            return None
        begun = next_generation(self._prefix, dataset, found, now)
        body: dict[str, Any] = {"_meta": {SINCE: begun.since}}
        ignoring = client.options(ignore_status=400)  # another worker was faster
        await self._sink.ask(lambda: ignoring.indices.create(index=begun.index, mappings=body), gate)
        self._known.pop(dataset, None)
        return begun

    async def _look_up(self, dataset: str, at: int, gate: Gate, sink: BulkSink) -> list[Generation]:
        """The generations of a dataset; the one that jobs of this time write into is there. Raises as `of`."""
        until, asked_at = self._clock.now_ms() + KNOWN_MS, self._clock.monotonic()
        client, indices = sink.client, data_indices(self._prefix, dataset)
        answer = await sink.ask(
            lambda: client.indices.get_mapping(index=indices, ignore_unavailable=True, filter_path=_MADE), gate
        )
        found = generations_in(self._prefix, dataset, answer.body)
        if (index := index_of(found, at)) not in answer.body:
            raise CannotGoOnError(
                f"Elasticsearch has no index {index} with the mapping of dataset {dataset}: run `sluice migrate`, "
                f"then resume"
            )
        self._known[dataset] = _Found(found, until, asked_at)
        return found

    async def _size(self, index: str, gate: Gate) -> int:
        client, path = self._sink.client, "_all.primaries.store.size_in_bytes"
        answer = await self._sink.ask(lambda: client.indices.stats(index=index, metric="store", filter_path=path), gate)
        return int(answer.body.get("_all", {}).get("primaries", {}).get("store", {}).get("size_in_bytes", 0))


def rolling(datasets: Sequence[Any], unique: Sequence[str]) -> list[str]:
    """The datasets that may have several generations: no key has to be found among all rows of one."""
    return [dataset.name for dataset in datasets if not dataset.primary_key and dataset.name not in unique]
