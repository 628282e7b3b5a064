"""Running Elasticsearch under another uid when we are root, which it refuses to be."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from devstack.errors import StackError

UID: Final = 65534
PLACES: Final = (Path("/var/lib/sluice"), Path("/var/tmp/sluice"))  # noqa: S108 - ownership is checked before use


def server_user() -> int | None:
    """The uid (and gid) to run Elasticsearch as; None: our own."""
    return UID if os.geteuid() == 0 else None


def reaches(path: Path, uid: int = UID) -> bool:
    """Whether that uid, in no group, gets through every folder above `path` and into it."""
    path = path.resolve()
    for folder in (path, *path.parents):
        try:
            entry = folder.stat()
        except OSError:
            return False
        if not entry.st_mode & (stat.S_IXUSR if entry.st_uid == uid else stat.S_IXOTH):
            return False
    return True


def open_place() -> Path:
    """A folder of root's that every user can pass through; made on first use.

    Raises:
        StackError: there is none, or someone else has made it.
    """
    for place in PLACES:
        try:
            place.mkdir(mode=0o711, exist_ok=True)
        except OSError:
            continue
        entry = place.lstat()
        if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != 0 or entry.st_mode & 0o022:
            raise StackError(f"{place} is not root's own, so it can't be trusted: remove it, or don't run as root.")
        if reaches(place):
            return place
    raise StackError(
        "Elasticsearch does not run as root, and no folder is open to the unprivileged user it would run as: "
        "run as an ordinary user, or put SLUICE_HOME and SLUICE_CACHE where every user may pass."
    )


def reachable_copy(source: Path, name: str, copy: Callable[[Path], None]) -> Path:
    """`source` if the server's user can read it, else a copy that it can read, which `copy(target)` makes once."""
    if server_user() is None or reaches(source):
        return source
    target = open_place() / name
    if not target.exists():
        draft = Path(tempfile.mkdtemp(dir=target.parent))
        try:
            copy(draft / name)
            make_readable(draft / name)
            (draft / name).rename(target)
        except FileExistsError:
            pass
        except OSError:
            if not target.exists():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


def make_readable(tree: Path) -> None:
    """Make a tree of program files readable by all users, and writable by its owner only."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)


def data_folder(link: Path) -> Path:
    """The server's own folder, owned by the user it runs as and closed to others; the same one at each start.

    It is `link` itself, unless we are root and its user can't get there: then `link` becomes a symbolic link to it.
    """
    user = server_user()
    if user is None or (not link.is_symlink() and reaches(link.parent)):
        folder = link
    elif link.is_symlink():
        folder = link.resolve()
    else:
        folder = open_place() / f"home-{hashlib.sha256(os.fsencode(link.absolute())).hexdigest()[:16]}"
    if folder != link and not link.is_symlink() and link.is_dir():
        shutil.move(link, folder)  # of an older version, which left the home open
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(folder, user, user, follow_symlinks=False)
    if folder != link.absolute() and not link.is_symlink():
        link.symlink_to(folder)
    return folder
