"""Whether a file is the one that a job was made with, from its status in the file system, without reading it. Pure."""

from __future__ import annotations

import os
from enum import Enum

from schemas.bounds import int64
from schemas.job import FileIdentity, Source


class Match(Enum):
    """The outcome of comparing a file's status with a source."""

    SAME = "same"
    """This is the file that the job was made with, or the job has no SHA-256 to compare."""
    UNSURE = "unsure"
    """The file has the right size; only its SHA-256 can tell."""
    OTHER = "other"
    """This is another file."""


def identity_of(status: os.stat_result) -> FileIdentity:
    """The identity of the file that has this status."""
    return FileIdentity(
        inode=int64(status.st_ino), modified_ns=int64(status.st_mtime_ns), changed_ns=int64(status.st_ctime_ns)
    )


def match(source: Source, status: os.stat_result) -> Match:
    """Whether the file with this status is the file of `source`."""
    if source.bytes is not None and status.st_size != source.bytes:
        return Match.OTHER
    if source.sha256 is None or source.identity == identity_of(status):
        return Match.SAME
    return Match.UNSURE
