"""What `sluice.index: false` saves: the same people with every field in the index, and with three left out."""

from __future__ import annotations

import statistics
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from bench.stack import bench_stack, cpu_seconds
from bench.upload import Load, settle
from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.descriptors.datasets import parse_dataset

LEFT_OUT: Final = ("phone", "country", "favorite_color")
INDICES: Final[dict[str, tuple[str, ...]]] = {"bench-all": (), "bench-some": LEFT_OUT}
SAMPLE_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Figure:
    """One index; medians over the rounds."""

    left_out: tuple[str, ...]
    """Fields that say ``sluice.index: false``."""
    rows_per_second: float
    """The rate of a direct bulk load."""
    elasticsearch_microseconds_per_row: float
    """Processor time of the load, and of the merges after it."""
    bytes_per_row: float
    """Bytes on disk, in one segment."""


def measure(rows: int, rounds: int) -> list[Figure]:
    """Load `rows` people into both indices in turns, `rounds` times, after a round that is not measured."""
    with bench_stack() as config:
        file = config.home / "people.csv"
        sample(Dataset.PEOPLE, rows, file, SAMPLE_SEED)
        loads = {
            index: Load(config, file, index, parse_dataset("people", _descriptor(left_out)))
            for index, left_out in INDICES.items()
        }
        runs: dict[str, list[tuple[float, float]]] = {index: [] for index in INDICES}
        for _ in range(rounds + 1):
            for index, load in loads.items():
                settle(config)
                before = cpu_seconds(config)["elasticsearch"]
                seconds = load.run()
                settle(config)
                runs[index].append((seconds, cpu_seconds(config)["elasticsearch"] - before))
        return [_figure(config, rows, index, runs[index][1:]) for index in INDICES]


def _figure(config: Settings, rows: int, index: str, runs: list[tuple[float, float]]) -> Figure:
    seconds, used = (statistics.median(values) for values in zip(*runs, strict=True))
    with elasticsearch(config) as client:
        client.options(request_timeout=300).indices.forcemerge(index=index, max_num_segments=1)
        client.indices.refresh(index=index)
        stats = client.indices.stats(index=index, metric="store,docs")["_all"]["primaries"]
    size = stats["store"]["size_in_bytes"] / stats["docs"]["count"]
    return Figure(INDICES[index], rows / seconds, used / rows * 1e6, size)


def _descriptor(left_out: tuple[str, ...]) -> dict[str, Any]:
    descriptor = deepcopy(dict(load_datasets()["people"].descriptor))
    for field in descriptor["fields"]:
        if field["name"] in left_out:
            field["sluice"] = {**field.get("sluice", {}), "index": False}
    return descriptor
