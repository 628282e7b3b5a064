"""`python -m bench.model`: sizes of clusters, and what is saturated first, by simulation from measured constants.

`bench/capacity/` has the constants, the command that measures them, and the simulation. docs/scaling.md says what
follows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench.capacity.report import disk_table, measured_tables, simulated_tables
from runtime.text.markdown import MadeSection

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
SECTIONS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "measured": measured_tables,
    "simulated": simulated_tables,
    "disk": disk_table,
}


def main() -> None:
    """Print all tables, or with `--write` put them into docs/scaling.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    write = parser.parse_args().write
    for name, made in SECTIONS.items():
        text = "\n".join(made())
        if write:
            PAGE.write_text(section(name).put(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
        else:
            print(text, end="\n\n")


def section(name: str) -> MadeSection:
    """Where the tables of this name are in the page."""
    return MadeSection(name, "python -m bench.model --write")


if __name__ == "__main__":
    main()
