"""The plot of a comparison, drawn by Matplotlib in an environment of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.compare.environments import PEERS, UnavailableError, python_of


def plot(file: Path, picture: Path, cache: Path) -> None:
    """Draw the comparison in the JSON file `file` as a picture (.png or .svg).

    Raises:
        UnavailableError: Matplotlib can't be had, or could not draw it.
    """
    python = python_of("plot", cache)
    program = PEERS / "plot" / "draw.py"
    done = subprocess.run(
        [str(python), str(program), str(file), str(picture)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UnavailableError(f"the plot could not be drawn: {(done.stderr.strip() or 'no reason').splitlines()[-1]}")
