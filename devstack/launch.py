"""The command `sluice`: one role in this process, or the command line.

A role is begun before the command line is imported. That would take a part of a second, in which process 1 of a
container gets no signal, since it has not asked for any yet; and a worker has no use for it.
"""

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


def run(role: str) -> None:
    """Become a process of this role, as `python -m` of its module does. Ends with SystemExit where it has a code."""
    sys.argv = [f"sluice {role}"]
    runpy.run_module(ROLES[role], run_name="__main__", alter_sys=True)


def main() -> None:
    """Run what the arguments name."""
    match sys.argv[1:]:
        case [role] if role in ROLES:
            run(role)
        case _:
            from devstack.cli import main as command_line

            command_line()


if __name__ == "__main__":
    main()
