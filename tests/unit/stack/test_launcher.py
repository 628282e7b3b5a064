"""`./sluice`, the launcher: which folders it makes a virtual environment in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.places import ROOT

# Does what `python -m venv --clear` does, in a moment. The environment's own Python fails, so nothing is installed.
PYTHON = """#!/bin/sh
case "$*" in "-m venv --clear "*)
    rm -rf "$4"; mkdir "$4" "$4/bin"; touch "$4/pyvenv.cfg"
    printf '#!/bin/sh\\nexit 1\\n' > "$4/bin/python"; chmod +x "$4/bin/python" ;;
esac
"""


def launch(tmp_path: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    """Run the launcher, which has to make its environment."""
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "SLUICE_PYTHON": str(python), "SLUICE_VENV": str(venv)}
    return subprocess.run([ROOT / "sluice", "jobs"], env=environment, capture_output=True, text=True, check=False)


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder.parent)): path.read_text() if path.is_file() else ""
        for path in (folder, *folder.rglob("*"))
    }


def _file(place: Path) -> None:
    place.write_text("a file")


def _files(place: Path) -> None:
    place.mkdir()
    (place / "chapter").write_text("years of work")


def _hidden_file(place: Path) -> None:
    place.mkdir()
    (place / ".profile").write_text("mine")


def _folders(place: Path) -> None:
    (place / "a" / "b").mkdir(parents=True)


def _broken_program(place: Path) -> None:
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").write_text("#!/none\n")
    (place / "bin" / "python").chmod(0o755)


def _link_to_files(place: Path) -> None:
    _files(place.parent / "elsewhere")
    place.symlink_to(place.parent / "elsewhere")


@pytest.mark.parametrize("make", [_file, _files, _hidden_file, _folders, _broken_program, _link_to_files])
def test_the_launcher_empties_no_folder_of_others(tmp_path: Path, make: Callable[[Path], None]) -> None:
    place = tmp_path / "place"
    make(place)
    before = content(place)
    ended = launch(tmp_path, place)
    assert content(place) == before
    assert ended.returncode == 2
    assert f"{place} is no virtual environment" in ended.stderr and "SLUICE_VENV" in ended.stderr


def _nothing(place: Path) -> None:
    pass


def _damaged_environment(place: Path) -> None:
    (place / "lib").mkdir(parents=True)
    (place / "pyvenv.cfg").write_text("home = /none\n")
    (place / "lib" / "old").write_text("of another Python")


@pytest.mark.parametrize("make", [_nothing, Path.mkdir, _damaged_environment])
def test_the_launcher_makes_its_environment_where_nothing_is_lost(tmp_path: Path, make: Callable[[Path], None]) -> None:
    place = tmp_path / "place"
    make(place)
    assert "installing the packages failed" in launch(tmp_path, place).stderr, "the step after it was made"
    assert (place / "pyvenv.cfg").is_file() and not (place / "lib" / "old").exists()
