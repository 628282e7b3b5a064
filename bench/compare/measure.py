"""Runs the comparison: every way in turns, round by round, each run counted, and merges waited for in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from bench.compare import sources
from bench.compare.environments import UnavailableError
from bench.compare.loaders import Inbox, Loader, Peer, Upload
from bench.compare.machine import this_machine
from bench.compare.peer_process import PeerError
from bench.compare.results import OWN, SERVERS, Comparison, Measured, Run, WayResult
from bench.compare.sources import Source
from bench.compare.ways import SLUICE, SLUICE_ROWS, Way
from bench.stack import bench_stack, cpu_seconds
from bench.upload import settle
from devstack.servers.cache import cache_folder
from runtime.clients import elasticsearch
from runtime.settings import Settings
from verify.compare import compare

SMALLER: Final = (10, 100)
"""The plot's other sizes: the largest one divided by these."""
COMPARED_ROWS: Final = 10_000
OWN_WAYS: Final[dict[str, Callable[[Settings], Loader]]] = {SLUICE: Upload, SLUICE_ROWS: Inbox}

Say = Callable[[str], None]


def measure(ways: Sequence[Way], rows: int, rounds: int, minutes: float, say: Say) -> Comparison:
    """Measure the ways on a stack of their own.

    After `minutes` no round begins any more that would probably not end in time. A way that fails is said to, and is
    left out from then on.
    """
    began, deadline = datetime.now(UTC), time.monotonic() + minutes * 60
    machine = this_machine()
    results = [WayResult(name=way.name, title=way.title, source=way.source) for way in ways]
    with bench_stack() as config, ExitStack() as ending:
        sizes = sorted({max(1, rows // smaller) for smaller in (1, *SMALLER)}, reverse=True)
        made = [sources.make(config, size) for size in sizes]
        loaders: dict[str, Loader] = {}
        for way, result in zip(ways, results, strict=True):
            say(f"starting {way.name} ...")
            try:
                loaders[way.name] = _loader(config, way)
                ending.callback(loaders[way.name].end)
            except (UnavailableError, PeerError) as error:
                result.unavailable = str(error)
                say(f"{way.name}: {error}")
        bench = _Rounds(config, ways, results, loaders, say)
        bench.warm_up(next((source for source in made if source.rows <= COMPARED_ROWS), made[-1]))
        done, longest = 0, 0.0
        for number in range(1, rounds + 1):
            if time.monotonic() + longest > deadline:
                say(f"{done} of {rounds} rounds, since {minutes:g} minutes are over")
                break
            at = time.monotonic()
            bench.round(number, rounds, made)
            longest, done = max(longest, time.monotonic() - at), number
        return Comparison(
            date=began.isoformat(timespec="seconds"),
            machine=machine,
            rows=rows,
            rounds=done,
            minutes=minutes,
            ways=results,
        )


def _loader(config: Settings, way: Way) -> Loader:
    if way.name in OWN_WAYS:
        return OWN_WAYS[way.name](config)
    if way.start is None:
        raise UnavailableError(way.unavailable or "can't be had")
    return Peer(config, way, way.start(cache_folder(config.home), config.home))


class _Rounds:
    def __init__(
        self, config: Settings, ways: Sequence[Way], results: Sequence[WayResult], loaders: dict[str, Loader], say: Say
    ) -> None:
        self._config, self._ways, self._loaders, self._say = config, ways, loaders, say
        self._results = {result.name: result for result in results}

    def warm_up(self, compared: Source) -> None:
        """Load some thousand rows once, unmeasured, and compare them, value by value, with the file."""
        for way in self._able():
            at = time.monotonic()
            if self._run(way, compared, "warm-up") is None:
                continue
            loader, result = self._loaders[way.name], self._results[way.name]
            verdict = compare(self._config, loader.job_id, "people", compared.file, loader.index)
            if verdict.holds:
                result.compared_rows = compared.rows
            else:
                result.unavailable = f"its documents are not the file's rows: {verdict}"
            self._say(
                f"warm-up: {way.name} {time.monotonic() - at:.1f} s; {result.unavailable or 'its rows are right'}"
            )

    def round(self, number: int, rounds: int, made: Sequence[Source]) -> None:
        """Run every way at every size."""
        for source in made:
            figures = []
            for way in self._able()[:: 1 if number % 2 else -1]:  # there and back
                if source is not made[0] and not way.in_plot:
                    continue
                run = self._run(way, source, f"round-{number}-{source.rows}")
                if run is None:
                    continue
                result = self._results[way.name]
                if not any(measured.rows == source.rows for measured in result.sizes):
                    result.sizes.append(Measured(rows=source.rows, runs=[]))
                next(measured for measured in result.sizes if measured.rows == source.rows).runs.append(run)
                figures.append(f"{way.name} {source.rows / run.seconds:,.0f}")
            self._say(f"round {number} of {rounds}, {source.rows:,} rows, rows/s: {', '.join(figures)}")

    def _able(self) -> list[Way]:
        return [way for way in self._ways if self._results[way.name].unavailable is None]

    def _run(self, way: Way, source: Source, run: str) -> Run | None:
        """One run of a way; None if it failed, which its result then says."""
        loader = self._loaders[way.name]
        try:
            loader.prepare(source, f"{way.name}-{run}")
            settle(self._config)
            before = self._cpu(loader)
            seconds = loader.go()
            used = {kind: value - before[kind] for kind, value in self._cpu(loader).items()}
            counted = self._count(loader)
        except Exception as error:  # of one way: the others go on
            self._leave_out(way, f"failed: {str(error) or type(error).__name__}")
            return None
        if counted != source.rows:
            self._results[way.name].sizes.clear()
            self._leave_out(way, f"has loaded {counted:,} of {source.rows:,} rows")
            return None
        return Run(seconds=seconds, cpu_seconds=used, rows_counted=counted)

    def _leave_out(self, way: Way, reason: str) -> None:
        self._results[way.name].unavailable = reason
        self._say(f"{way.name} {reason}")

    def _cpu(self, loader: Loader) -> dict[str, float]:
        servers = cpu_seconds(self._config)
        return {OWN: loader.cpu_seconds(), **{kind: servers[kind] for kind in SERVERS}}

    def _count(self, loader: Loader) -> int:
        with elasticsearch(self._config) as client:
            client.indices.refresh(index=loader.index)
            query = {"term": {"sluice.job_id": loader.job_id}}
            return int(client.count(index=loader.index, query=query)["count"])
