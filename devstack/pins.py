"""`python -m devstack.pins` writes `requirements/` anew: each package's version and the SHA-256 of all its files.

A package that is pinned keeps its version unless it no longer fits; `--upgrade` or `--upgrade-package NAME` updates it.
The versions are those for Linux and macOS and every Python that Sluice runs on. Needs the network.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.text.terminal import out

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "requirements"
LAYERS: Final = ("core", "samples", "local", "test")
"""What Sluice itself needs, then its extras: each layer's file adds to those before it."""
BESIDE: Final = {
    # Hatchling needs `editables` for an editable installation, and names it only when it builds one.
    "build": ("editables",),
    "sbom": ("cyclonedx-bom>=7.5",),
}
"""What is needed to build Sluice (beside pyproject.toml's own list), and to list what is in an image."""
UNSUPPORTED: Final = re.compile(r"sys_platform == '(?:win32|emscripten)'")


def pin(more: Sequence[str]) -> int:
    """Write the files; `more` goes to uv as it is. Returns how many packages are pinned."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        asked = {name: folder / f"{name}.in" for name in BESIDE}
        for name, more_of_it in BESIDE.items():
            own = project["build-system"]["requires"] if name == "build" else []
            asked[name].write_text("\n".join([*own, *more_of_it]), "utf-8")
        everything = folder / "all.txt"
        everything.write_text("".join(_pins(file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.txt"))), "utf-8")
        sources = ["pyproject.toml", "--all-extras", *map(str, asked.values())]
        _compile(folder, [*sources, "--generate-hashes", *more, "--output-file", str(everything)])
        pinned = blocks(everything.read_text("utf-8"))
        constraints = ["--constraint", str(everything)]
        for name, file in asked.items():
            _write(name, (), blocks(_compile(folder, [str(file), *constraints])), pinned)
        before: set[str] = set()
        for number, layer in enumerate(LAYERS):
            extra = ["--extra", layer] if number else []
            names = blocks(_compile(folder, ["pyproject.toml", *extra, *constraints])).keys()
            _write(layer, LAYERS[max(number - 1, 0) : number], names - before, pinned)
            before |= names
        return len(pinned)


def blocks(text: str) -> Mapping[str, str]:
    """Package -> its lines in a requirements file, hashes included; without those for other systems alone."""
    found: dict[str, str] = {}
    for block in re.findall(r"^[A-Za-z0-9].*\n(?:[ \t]+.*\n)*", text, re.MULTILINE):
        if not UNSUPPORTED.search(block):
            name = re.split("[=[ ]", block, maxsplit=1)[0]
            found[name] = found.get(name, "") + block
    return found


def _pins(text: str) -> str:
    return "".join(blocks(text).values())


def _write(layer: str, below: Sequence[str], names: Iterable[str], pinned: Mapping[str, str]) -> None:
    lines = ["# Written by `python -m devstack.pins`.\n", *(f"-r {name}.txt\n" for name in below)]
    (FOLDER / f"{layer}.txt").write_text("".join([*lines, *(pinned[name] for name in sorted(names))]), "utf-8")


def _compile(folder: Path, arguments: Sequence[str]) -> str:
    uv = shutil.which("uv") or str(folder / "uv" / "bin" / "uv")
    if not Path(uv).exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder / "uv"), "uv"]
        subprocess.run(pip, check=True)
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header"]
    done = subprocess.run([*command, "--no-annotate", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


if __name__ == "__main__":
    out(f"{pin(sys.argv[1:])} packages pinned.")
