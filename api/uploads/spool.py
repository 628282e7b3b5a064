"""Writes an uploaded file to disk, hashing and counting it at the same time; it is removed unless it is kept."""

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
from runtime.files.file_digest import Digest
from runtime.files.identity import identity_of
from runtime.files.shared_folder import StorageAwayError, require_shared
from schemas.job import Source

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room on the file system, none left of a quota, or a file larger than the process may write."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_PART = re.compile(r"\.[0-9a-f]{16}\.part\Z")


def safe_name(name: str | None) -> str:
    """The sender's name for the file, made safe: without folders and special characters."""
    last = re.split(r"[/\\]", name or "")[-1]
    return _UNSAFE.sub("_", last).lstrip(".")[-100:] or "upload.csv"


def own_name(name: str | None) -> str:
    """A safe form of the name that no other request takes."""
    return f"{secrets.token_hex(8)}-{safe_name(name)}"


def is_part(name: str) -> bool:
    """Whether this is the name of a part, a file that is still being written: no `safe_name` begins with a dot."""
    return _PART.match(name) is not None


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or this process ends; returns whether that was possible."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # another process holds the lock, or the file system has no locks
    return True


class SpooledFile:
    """A file below ``<storage root>/sources/<job id>/``; every method blocks, so call them in a thread.

    It is written under a unique name, so that two requests for one job do not write into one file; and under a lock,
    which distinguishes it from the part of a dead process (see `api/uploads/abandoned_parts.py`). What another request
    has stored is neither replaced nor removed: its job may have begun, though this process has not heard of it yet.
    """

    def __init__(self, root: Path, job_id: str, name: str | None, stored_as: str | None = None) -> None:
        """`name`: the sender's name for the file; it is stored as `stored_as`, or else under a safe form of `name`, and
        as `own_name` of it if that is taken.
        """
        self.digest = Digest()
        self.name = name
        self.path = f"sources/{job_id}/{safe_name(stored_as or name)}"
        self._root = root
        self._final = root / self.path
        self._part = self._final.with_name(f".{secrets.token_hex(8)}.part")
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        """A request that is cancelled discards its file while a thread may still be writing."""

    @property
    def written(self) -> Path:
        """The part's path, until `keep`."""
        return self._part

    def write(self, data: bytes) -> None:
        """Append to the file.

        Raises:
            ApiError: 507, the disk is full; 503, it can't be written.
        """
        try:
            with self._lock:
                file = self._file or self._opened()
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
        except OSError as error:
            raise storage_problem(error) from error
        self.digest.update(data)

    def _opened(self) -> IO[bytes]:
        make_folder(self._root, self._final.parent)
        self._file = file = self._part.open("xb", buffering=0)
        try_lock(file.fileno())
        return file

    def close(self) -> None:
        """Make the file durable (fsync), still under its temporary name and still locked.

        Raises:
            ApiError: 507, the disk is full; 503, it can't be written.
        """
        if self._file is None:
            self.write(b"")
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise storage_problem(error) from error

    def keep(self) -> Source:
        """Rename the closed file to its final name; returns it as a source, with the identity it has now.

        Raises:
            ApiError: 507, the disk is full; 503, it can't be written. The file is under neither name then.
        """
        taken = False
        try:
            self._take_name()
            taken = True
            with self._part.open("rb") as file:
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
            if taken:
                self._final.unlink(missing_ok=True)
            raise storage_problem(error) from error
        return self.digest.source(self.name, self.path, identity)

    def _take_name(self) -> None:
        try:
            self._final.open("xb").close()
        except FileExistsError:
            self._final = self._final.with_name(own_name(self._final.name))
            self.path = f"{self.path.rpartition('/')[0]}/{self._final.name}"
            self._final.open("xb").close()

    def source(self) -> Source:
        """The file as a job's source, before it is kept."""
        return self.digest.source(self.name, self.path)

    def discard(self, *, kept: bool = False) -> None:
        """Remove the part; `kept`: also the file under the final name."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._part.unlink(missing_ok=True)
            if kept:
                self._final.unlink(missing_ok=True)
        try:
            self._final.parent.rmdir()
        except OSError:
            return  # the folder has another request's file, or was never made


def storage_problem(error: OSError) -> ApiError:
    """507 or 503: the refusal of a file that can't be stored."""
    if error.errno in _FULL:
        return ApiError(
            507,
            "the server's disk is full, so no job was made; free space below its storage folder (SLUICE_STORAGE), "
            "then send the file again",
        )
    return unavailable(f"the server can't store the file: {error.strerror}; see its storage folder (SLUICE_STORAGE)")


def make_folder(root: Path, folder: Path) -> None:
    """Make a folder below the storage root. In one that is not mounted the files would be lost.

    Raises:
        ApiError: 503, it is not mounted.
        OSError: it can't be made.
    """
    try:
        require_shared(root)
    except StorageAwayError as error:
        raise unavailable(f"the server can't store the file: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
