"""Where downloaded packages are kept between runs, shared by every home of this user."""

from __future__ import annotations

import os
from pathlib import Path

from devstack.errors import StackError


def cache_folder(home: Path) -> Path:
    """The cache: ``$SLUICE_CACHE``, or sluice in ``$XDG_CACHE_HOME`` or ~/.cache, or cache in the stack's home.

    Raises:
        StackError: none of them can be written.
    """
    named = os.environ.get("SLUICE_CACHE")
    if named:
        folder = Path(named).absolute()
        if not _usable(folder):
            raise StackError(f"The folder {folder} (SLUICE_CACHE) can't be written: name another one.")
        return folder
    personal = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    for folder in (Path(personal).expanduser() / "sluice", home / "cache"):
        if _usable(folder):
            return folder
    raise StackError(f"Neither {personal} nor {home} can be written: name a folder for downloads with SLUICE_CACHE.")


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
