"""Writes an export to a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from commandline.errors import ClientError, usage


class Target:
    """A file that is written as a whole or not at all; a device or a pipe, such as /dev/null, is written to directly.

    Raises:
        ClientError: it can't be written; this is checked before the download begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.is_dir():
                raise usage(f"{path} is a folder: name a file in it")
            self._direct = path.exists() and not path.is_file()
            self._part = path if self._direct else path.with_name(f".{path.name}.{os.getpid()}.part")
            if not self._direct:
                self._part.touch()
                self._part.unlink()
        except OSError as error:
            raise self._problem(error) from error

    def write(self, chunks: Iterable[bytes]) -> None:
        """Write all chunks.

        Raises:
            ClientError: the file can't be written.
        """
        try:
            with self._part.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            if not self._direct:
                self._part.replace(self.path)
        except OSError as error:
            raise self._problem(error) from error
        finally:
            if not self._direct:
                self._part.unlink(missing_ok=True)

    def _problem(self, error: OSError) -> ClientError:
        return usage(f"{self.path} can't be written: {error.strerror}")
