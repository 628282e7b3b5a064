"""The code of the version before this one: the commit that the file BASE names, in a worktree of its own."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

BASE = Path(__file__).with_name("BASE")
FIELDS = Path(__file__).with_name("FIELDS")
"""The commit of BASE, and then a line for each struct of its messages: the names of the struct and of its fields. Made
by ``python -m tests.upgrade.older_code``, for tests where the history is not at hand."""
ROOT = BASE.parent.parent.parent


def why_not() -> str | None:
    """Why the older version can't be had here; None: it can."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return "this is no clone: without its history the version before this one can't be had"
    found = _git("cat-file", "-e", f"{commit()}^{{commit}}")
    if found.returncode:
        return f"the history does not reach back to {commit()[:12]}, the version before this one"
    return None


def commit() -> str:
    """The commit, in full."""
    return BASE.read_text("ascii").strip()


def known_fields() -> dict[str, frozenset[str]]:
    """Struct of the older version's messages -> its fields."""
    of, *lines = FIELDS.read_text("ascii").splitlines()
    assert of == commit(), "FIELDS is of another version than BASE: run python -m tests.upgrade.older_code"
    return {name: frozenset(fields) for name, *fields in map(str.split, lines)}


def fields_text() -> str:
    """What FIELDS is to have, from the history."""
    bases: dict[str, list[str]] = {}
    own: dict[str, list[str]] = {}
    for path in _git("ls-tree", "-r", "--name-only", commit(), "schemas").stdout.split():
        code = _git("show", f"{commit()}:{path}").stdout if path.endswith(".py") else ""
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
                assigned = [one.target for one in node.body if isinstance(one, ast.AnnAssign)]
                own[node.name] = [target.id for target in assigned if isinstance(target, ast.Name)]

    def fields(name: str) -> list[str]:
        return [field for base in bases.get(name, ()) for field in fields(base)] + own.get(name, [])

    lines = [" ".join([name, *fields(name)]) for name in sorted(own) if fields(name)]
    return "\n".join([commit(), *lines]) + "\n"


def check_out(folder: Path) -> None:
    """Put the older code into a new folder. Only git's own record of worktrees changes beside it."""
    done = _git("worktree", "add", "--detach", str(folder), commit())
    assert done.returncode == 0, done.stderr


def interpreter(code: Path, environments: Path) -> Path | str:
    """A Python with the packages that the older code pins; or why there is none.

    If it pins what this version does, it is the one that runs; else an environment is made, once for the same pins.
    """
    pins = code / "requirements" / "core.txt"
    if pins.read_bytes() == (ROOT / "requirements" / "core.txt").read_bytes():
        return Path(sys.executable)
    folder = environments / hashlib.sha256(pins.read_bytes()).hexdigest()[:16]
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(pins)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"the packages of {commit()[:12]} can't be installed: {done.stderr.strip()[-300:]}"
        (folder / "complete").touch()
    return python


def remove(folder: Path) -> None:
    """Remove it again."""
    _git("worktree", "remove", "--force", str(folder))


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    FIELDS.write_text(fields_text(), "ascii")
