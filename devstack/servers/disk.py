"""Room on the disk: the servers' own watermarks are off, so that we check before a start."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from devstack.errors import StackError

LEAST_FREE_BYTES: Final = 2 * 1024**3


def require_space(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> None:
    """Refuse to start on a disk that is nearly full.

    Raises:
        StackError: less than `least_bytes` are free.
    """
    free = shutil.disk_usage(folder).free
    if free < least_bytes:
        raise StackError(
            f"Only {free / 1024**3:.1f} GiB are free on the disk of {folder}, and the stack needs "
            f"{least_bytes / 1024**3:.0f} GiB: make room, or put it on another disk with SLUICE_HOME."
        )
