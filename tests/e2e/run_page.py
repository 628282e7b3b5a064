"""Runs the examples of docs/python.md, each after the one before it, and compares what they print with the page."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def main(page: Path) -> int:
    """Returns how many examples there are."""
    world: dict[str, object] = {}
    examples = BLOCK.findall(page.read_text("utf-8"))
    for program, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, str(page), "exec"), world)
        if printed.getvalue() != expected:
            sys.exit(f"{program}\nprints\n{printed.getvalue()}\nand not\n{expected}")
    return len(examples)


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
