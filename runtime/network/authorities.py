"""A TLS context that trusts the authorities of a file, also those that are put into it while the process runs."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from pathlib import Path
from typing import Any


class FollowingContext(ssl.SSLContext):
    """Reads its file again before a new connection, if it is another one by then.

    An operator of a cluster renews its authority, and writes it to the file that is mounted; the server then shows a
    certificate of the new one. What was trusted stays so until the process ends.
    """

    _file: Path
    _read: tuple[int, int, int] | None = None

    @classmethod
    def of(cls, file: Path, host: str) -> FollowingContext:
        """The context of a client of this host, as Elasticsearch's clients make it: it trusts the system's authorities
        as well, and a host that is named by its address need not be in the certificate.

        Raises:
            OSError: the file can't be read, or holds no certificate.
        """
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = not _is_address(host)
        context.load_default_certs()
        context._file = file
        context._load()
        return context

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        """As the other one: asyncio's connections begin here."""
        with contextlib.suppress(OSError):  # it is just being written: the next connection reads it
            self._load()
        return super().wrap_bio(*args, **more)

    def _load(self) -> None:
        status = self._file.stat()
        found = status.st_ino, status.st_mtime_ns, status.st_size
        if found != self._read:
            self.load_verify_locations(cafile=self._file)
            self._read = found


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False
