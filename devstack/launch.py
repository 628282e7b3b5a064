"""The command `sluice`: one role in this process, or the command line.

A role is begun before the command line is imported. That would take a part of a second, in which process 1 of a
container gets no signal, since it has not asked for any yet; and a worker has no use for it.
"""

from __future__ import annotations

import sys

from runtime.text.interrupts import end_when_interrupted


def main() -> None:
    """Run what the arguments name."""
    end_when_interrupted()  # before anything else is imported
    from devstack.foreground.roles import ROLES, become

    match sys.argv[1:]:
        case [role] if role in ROLES:
            become(role)
        case _:
            from devstack.cli import main as command_line

            command_line()


if __name__ == "__main__":
    main()
