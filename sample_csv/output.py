"""Writes the rows to standard output, or to a file that is written as a whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_output(path: Path | None) -> Iterator[BinaryIO]:
    """A binary stream to `path`; None is standard output. OSError if it cannot be opened or written.

    A file is written beside its place and moved there at the end, so that an interrupted run leaves no file that looks
    whole. A pipe or a device, such as /dev/null, is written to directly.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    path = Path(os.path.realpath(path))  # a link stays a link; unlike resolve() it lets a link to itself be
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
