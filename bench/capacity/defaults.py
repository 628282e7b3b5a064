"""What the simulation takes unless it is told otherwise: the file that the last run of `bench capacity` has written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bench.capacity.constants import Measured

FILE: Final = Path(__file__).with_name("measured.json")


def load(file: Path = FILE) -> Measured:
    """What a run has measured. Raises OSError, and msgspec.DecodeError if it is no such file."""
    return msgspec.json.decode(file.read_bytes(), type=Measured)


MEASURED: Final = load()
CONSTANTS: Final = MEASURED.constants
