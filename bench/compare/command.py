"""What `bench compare` does: measures, writes the JSON file, draws the plot, prints the table."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from bench.compare import measure, results, table, ways
from bench.compare.environments import UnavailableError
from bench.compare.plot import plot
from devstack.servers.cache import cache_folder


def run(
    names: Sequence[str], rows: int, rounds: int, minutes: float, json_file: Path | None, picture: Path | None
) -> None:
    """Compare the ways named (none: all) with Sluice."""
    try:
        chosen = ways.chosen([name.replace("_", "-") for name in names])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if picture and picture.suffix not in (".png", ".svg"):
        raise typer.BadParameter(f"{picture}: the plot is a .png or .svg file")
    for file in filter(None, (json_file, picture)):
        if not file.absolute().parent.is_dir():
            raise typer.BadParameter(f"{file}: there is no folder {file.absolute().parent}")
    comparison = measure.measure(chosen, rows, rounds, minutes, _Progress())
    with tempfile.TemporaryDirectory() as folder:
        kept = json_file or Path(folder) / "comparison.json"
        results.write(comparison, kept)
        for line in table.console(comparison):
            print(line)
        if picture:
            try:
                plot(kept.absolute(), picture.absolute(), cache_folder(Path(folder)))
            except UnavailableError as error:
                print(f"No plot: {error}", file=sys.stderr)
                raise typer.Exit(1) from error


class _Progress:
    """Prints what is under way, with the time since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        print(f"{minutes:02}:{seconds:02} {text}", file=sys.stderr, flush=True)
