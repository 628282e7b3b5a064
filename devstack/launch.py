"""The command `sluice`: one role in this process, or the command line.

A role is begun before the command line is imported. That would take a part of a second, in which process 1 of a
container gets no signal, since it has not asked for any yet; and a worker has no use for it.
"""

from __future__ import annotations

import sys

from devstack.foreground.roles import ROLES, become


def main() -> None:
    """Run what the arguments name."""
    match sys.argv[1:]:
        case [role] if role in ROLES:
            become(role)
        case _:
            from devstack.cli import main as command_line

            command_line()


if __name__ == "__main__":
    main()
