"""How long to wait before a process that died is started again."""

from __future__ import annotations

from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0


def delay_seconds(failures: int) -> float:
    """The pause before the next start after so many failures in a row: doubled each time, up to half a minute."""
    if failures <= 0:
        return 0.0
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 16))


def failures_after(failures: int, lived_seconds: float) -> int:
    """The failures in a row after one more death: a process that lived long enough starts the count anew."""
    return 1 if lived_seconds >= STEADY_SECONDS else failures + 1
