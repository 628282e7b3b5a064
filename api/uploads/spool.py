"""A file on its way to disk: written, hashed and counted in one go, and gone again unless it is kept."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import threading
from pathlib import Path
from typing import IO

from api.errors import ApiError, unavailable
from runtime.file_digest import Digest
from runtime.identity import identity_of
from schemas.job import Source

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_PART = re.compile(r"\.[0-9a-f]{16}\.part\Z")


def safe_name(name: str | None) -> str:
    """A file name that can't lead anywhere else, made from what the sender called the file."""
    last = re.split(r"[/\\]", name or "")[-1]
    return _UNSAFE.sub("_", last).lstrip(".")[-100:] or "upload.csv"


def is_part(name: str) -> bool:
    """Whether a file of this name is on its way: no `safe_name` begins with a dot."""
    return _PART.match(name) is not None


def holds(descriptor: int) -> bool:
    """Whether the open file could be locked, and so now is: as long as it is open, and this process lives."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # another process holds it, or its file system knows no locks: then nothing is said of it
    return True


class SpooledFile:
    """A file below ``<storage root>/sources/<job id>/``; every method blocks, so call them in a thread.

    It is written under a name of its own, so that two requests for one job do not meet in one file; and under a lock,
    which tells it from a file whose process died (see `api/uploads/leftovers.py`).
    """

    def __init__(self, root: Path, job_id: str, name: str | None, stored_as: str | None = None) -> None:
        """`name`: what its sender calls it; it lies there under `stored_as`, or else under a safe form of `name`."""
        self.digest = Digest()
        self.name = name
        self.path = f"sources/{job_id}/{safe_name(stored_as or name)}"
        self._final = root / self.path
        self._part = self._final.with_name(f".{secrets.token_hex(8)}.part")
        self._file: IO[bytes] | None = None
        self._using = threading.Lock()
        """A request that is cancelled discards its file while a thread may still be writing."""

    @property
    def written(self) -> Path:
        """Where it lies until it is kept."""
        return self._part

    def write(self, data: bytes) -> None:
        """Append to the file.

        Raises:
            ApiError: 503, the disk does not take it.
        """
        try:
            with self._using:
                file = self._file or self._opened()
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
        except OSError as error:
            raise storage_problem(error) from error
        self.digest.update(data)

    def _opened(self) -> IO[bytes]:
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._file = file = self._part.open("xb", buffering=0)
        holds(file.fileno())
        return file

    def close(self) -> None:
        """Make what was written durable, still under its temporary name, and still locked.

        Raises:
            ApiError: 503, the disk does not take it.
        """
        if self._file is None:
            self.write(b"")
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise storage_problem(error) from error

    def keep(self) -> Source:
        """Give the closed file its name, for good; the source has its identity now, which the name belongs to.

        Raises:
            ApiError: 503, the disk does not take it.
        """
        try:
            with self._part.open("rb") as file:  # another request may put its own file in this one's place
                self._part.replace(self._final)
                if self._file is not None:
                    self._file.close()  # no lock is needed from here on
                folder = os.open(self._final.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
                identity = identity_of(os.fstat(file.fileno()))
        except OSError as error:
            raise storage_problem(error) from error
        return self.digest.source(self.name, self.path, identity)

    def source(self) -> Source:
        """The file as a job's source, before it is kept."""
        return self.digest.source(self.name, self.path)

    def discard(self, *, kept: bool = False) -> None:
        """Remove the file; `kept`: also the one that has its name already."""
        with self._using:
            if self._file is not None:
                self._file.close()
            self._part.unlink(missing_ok=True)
            if kept:
                self._final.unlink(missing_ok=True)
        try:
            self._final.parent.rmdir()
        except OSError:
            return  # another request's file is in it, or it was never made


def storage_problem(error: OSError) -> ApiError:
    """What to tell a caller whose file can't be stored."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return unavailable("the server's disk is full; free space below its storage folder, then send the file again")
    return unavailable(f"the server can't store the file: {error.strerror}; see its storage folder (SLUICE_STORAGE)")
