"""`python -m bench.readme FILE.json`: puts a comparison's table and plot into README.md and docs/performance.md.

What stands there between the two marks is replaced; all else stays.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.compare import results, table
from bench.compare.environments import PEERS
from bench.compare.plot import plot
from devstack.servers.cache import cache_folder

ROOT: Final = PEERS.parent.parent
BEGIN: Final = "<!-- Written by `python -m bench.readme`: begin -->"
END: Final = "<!-- Written by `python -m bench.readme`: end -->"
PICTURE: Final = "docs/compare.png"
ALTERNATIVE: Final = "Time a row against rows, of Sluice and of other ways"


def replaced(text: str, written: str) -> str:
    """The page with `written` between its marks.

    Raises:
        ValueError: it does not have both marks, once each and in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the page must have the lines {BEGIN} and {END}, once each and in this order")
    return text[: text.index(BEGIN) + len(BEGIN)] + f"\n\n{written.strip()}\n\n" + text[text.index(END) :]


def main(file: Path) -> None:
    """Write both pages and the picture."""
    comparison = results.read(file)
    pages = {
        "README.md": f"{table.short_markdown(comparison)}\n![{ALTERNATIVE}]({PICTURE})",
        "docs/performance.md": f"{table.markdown(comparison)}\n![{ALTERNATIVE}]({Path(PICTURE).name})",
    }
    texts = {page: replaced((ROOT / page).read_text(encoding="utf-8"), written) for page, written in pages.items()}
    with tempfile.TemporaryDirectory() as folder:
        plot(file.absolute(), ROOT / PICTURE, cache_folder(Path(folder)))
    for page, text in texts.items():
        (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
