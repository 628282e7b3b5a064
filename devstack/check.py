"""The checks of the code that need no server: what `sluice check` and continuous integration run before the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import typer

CHECKS: Final[Mapping[str, tuple[str, ...]]] = {
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "lint": ("ruff", "check", "--quiet", "."),
    "types": ("mypy",),
    "imports": ("lint-imports",),
    "docs": ("pytest", "-q", "tests/unit/project/test_docs.py", "tests/unit/schemas/test_golden.py"),
}
"""Name -> a program of the virtual environment, and its arguments."""


def check(root: Path) -> bool:
    """Run every check on the code below `root`, and print the output of those that fail; returns whether all passed."""
    failed = []
    for name, (program, *arguments) in CHECKS.items():
        begun = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *arguments],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        good = done.returncode == 0
        typer.echo(f"{name:<8} {'ok' if good else 'FAILED'} ({time.monotonic() - begun:.0f} s)")
        if not good:
            failed.append(name)
            typer.echo(done.stdout)
    typer.echo(f"These checks failed: {', '.join(failed)}." if failed else "All checks passed.")
    return not failed
