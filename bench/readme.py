"""`python -m bench.readme FILE.json`: puts a comparison's table and plot into README.md and docs/performance.md.

The section `comparison` of each page is replaced; all else stays.
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
from runtime.text.markdown import MadeSection

ROOT: Final = PEERS.parent.parent
SECTION: Final = MadeSection("comparison", "python -m bench.readme")
PICTURE: Final = "docs/compare.png"
ALTERNATIVE: Final = "Time a row against rows, of Sluice and of other ways"


def main(file: Path) -> None:
    """Write both pages and the picture."""
    comparison = results.read(file)
    pages = {
        "README.md": f"{table.short_markdown(comparison)}\n![{ALTERNATIVE}]({PICTURE})",
        "docs/performance.md": f"{table.markdown(comparison)}\n![{ALTERNATIVE}]({Path(PICTURE).name})",
    }
    texts = {page: SECTION.put((ROOT / page).read_text(encoding="utf-8"), written) for page, written in pages.items()}
    with tempfile.TemporaryDirectory() as folder:
        plot(file.absolute(), ROOT / PICTURE, cache_folder(Path(folder)))
    for page, text in texts.items():
        (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
