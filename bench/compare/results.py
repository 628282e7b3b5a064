"""What a comparison has measured, as structs that are its JSON file."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

import msgspec

OWN: Final = "own"
SERVERS: Final = ("elasticsearch", "kafka")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its seconds, and the processor time meanwhile, by "own", "elasticsearch" and "kafka"."""

    seconds: float
    cpu_seconds: dict[str, float]
    rows_counted: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one way at one size."""

    rows: int
    runs: list[Run]

    @property
    def seconds(self) -> float:
        """Median over the runs."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds

    def cpu_microseconds_per_row(self, kind: str) -> float:
        """Median over the runs."""
        return statistics.median(run.cpu_seconds[kind] for run in self.runs) / self.rows * 1e6


class WayResult(msgspec.Struct, kw_only=True):
    """One way: a line of the table."""

    name: str
    title: str
    source: str
    unavailable: str | None = None
    """Why there are no figures of it, or no more."""
    compared_rows: int = 0
    """Rows that were compared with the file, value by value, before anything was measured."""
    sizes: list[Measured] = []

    def at(self, rows: int) -> Measured | None:
        """The runs at a size; None: there are none."""
        return next((measured for measured in self.sizes if measured.rows == rows and measured.runs), None)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    processor: str
    cores: int
    memory_gigabytes: int
    python: str
    load: float
    """The machine's load in the minute before the start: of programs that ran beside the comparison."""
    versions: dict[str, str]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One run of `bench compare`."""

    date: str
    """When it began: ISO 8601, UTC."""
    machine: Machine
    rows: int
    rounds: int
    minutes: float
    ways: list[WayResult]

    def way(self, name: str) -> WayResult:
        return next(way for way in self.ways if way.name == name)

    def rate(self, name: str) -> float | None:
        """A way's rows a second at the largest size."""
        measured = next((way.at(self.rows) for way in self.ways if way.name == name), None)
        return measured.rows_per_second if measured else None


def read(file: Path) -> Comparison:
    """Read the JSON file of a comparison."""
    return msgspec.json.decode(file.read_bytes(), type=Comparison)


def write(comparison: Comparison, file: Path) -> None:
    """Write the JSON file of a comparison."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n")
