"""The roles of an image, each in the process that begins it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from typing import Final

ROLES: Final[Mapping[str, str]] = {
    "api": "api.server",
    "ingest": "ingest",
    "worker": "processor",
    "migrate": "runtime.provision",
}
"""Role -> the module that `python -m` runs as this role."""


def become(role: str) -> None:
    """Become a process of this role, as `python -m` of its module does. Ends with SystemExit where it has a code."""
    sys.argv = [f"sluice {role}"]
    runpy.run_module(ROLES[role], run_name="__main__", alter_sys=True)
