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

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
SECTIONS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "measured": measured_tables,
    "simulated": simulated_tables,
    "disk": disk_table,
}
END: Final = "<!-- end -->"


def main() -> None:
    """Print all tables, or with `--write` put them into docs/scaling.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    write = parser.parse_args().write
    for name, made in SECTIONS.items():
        text = "\n".join(made())
        if write:
            PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), name, text), encoding="utf-8")
        else:
            print(text, end="\n\n")


def begin(name: str) -> str:
    """The line in front of what is made."""
    return f"<!-- {name}: made by python -m bench.model --write -->"


def section(page: str, name: str) -> str:
    """What stands between the marks of a section."""
    return page.split(begin(name))[1].split(END)[0].strip("\n")


def replaced(page: str, name: str, text: str) -> str:
    """The page with other lines between the marks of a section."""
    before, rest = page.split(begin(name))
    return f"{before}{begin(name)}\n{text}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    main()
