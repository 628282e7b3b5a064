"""Takes files out of gzip and zip, within bounds: a short file must not fill the disk."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

from api.errors import ApiError, invalid
from csvfile.text.kinds import workbook_of

PIECE_BYTES: Final = 1024 * 1024
_SLICE_BYTES: Final = 16 * 1024
"""Bytes that are unpacked at once: at the end of each member of a gzip file what is left of them is copied."""
MOST_RATIO: Final = 200
"""Bytes that come of each byte of a compressed file, at most, on average."""
_FREE_BYTES: Final = 1024 * 1024
"""Any compressed file may give this many bytes, whatever its ratio."""
_DIRECTORY_BYTES: Final = 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SYSTEM: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db")
_PROBLEMS: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
"""What `zipfile` raises for an archive that is damaged, encrypted, or compressed in another way."""


def compression_of(head: bytes) -> str | None:
    """How a file that begins so is compressed: ``gzip``, ``zip``; None: it is not."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zip" if head.startswith(_ZIP) else None


class Bounds:
    """What may come of a compressed file; counted on the way, since what the file says of itself may be a lie."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self.packed = 0
        """Bytes of the compressed file so far."""
        self.unpacked = 0
        """Bytes that have come of it."""

    def count(self, size: int) -> None:
        """Count `size` more unpacked bytes.

        Raises:
            ApiError: 413, they are too many.
        """
        self.unpacked += size
        if self.unpacked > self._most:
            raise ApiError(
                413,
                f"the compressed file unpacks to more than {self._most:,} bytes (SLUICE_UNPACKED_BYTES); "
                "send it in several files, or as it is",
            )
        if self.unpacked > _FREE_BYTES and self.unpacked > MOST_RATIO * self.packed:
            raise ApiError(
                413,
                f"the compressed file unpacks to more than {MOST_RATIO} times its size; send it as it is",
            )


class Gunzip:
    """Unpacks gzip as it comes, of one member or several."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._member: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes unpack to, in pieces.

        Raises:
            ApiError: 400, the file is damaged; 413, too much comes of it.
        """
        self._bounds.packed += len(data)
        made = bytearray()
        for at in range(0, len(data), _SLICE_BYTES):
            for piece in self._unpacked(data[at : at + _SLICE_BYTES]):
                made += piece
                if len(made) >= PIECE_BYTES:
                    yield bytes(made)
                    made.clear()
        if made:
            yield bytes(made)

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                data = data.lstrip(b"\0")  # some programs fill the last block of a disk, and others go on behind that
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise invalid(f"the gzip file is damaged ({error}); compress and send it again") from error
            self._bounds.count(len(piece))
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if self._member.eof:
                self._member = None
            if piece:
                yield piece

    def end(self) -> Iterator[bytes]:
        """The bytes that are left.

        Raises:
            ApiError: 400, the file breaks off; 413, it unpacks to too many bytes.
        """
        while self._member is not None and not self._member.eof:
            piece = self._member.decompress(b"", PIECE_BYTES)
            if not piece:
                raise invalid("the gzip file breaks off before its end; send it again")
            self._bounds.count(len(piece))
            yield piece


def unzipped(file: IO[bytes], bounds: Bounds) -> Iterator[bytes]:
    """The one file in a zip archive, in pieces.

    Raises:
        ApiError: 400, there is none or there are several, or the archive is damaged; 413, too much comes of it.
    """
    bounds.packed = file.seek(0, 2)
    try:
        with zipfile.ZipFile(_Careful(file)) as archive, archive.open(_only_file(archive)) as entry:
            while piece := entry.read(PIECE_BYTES):
                bounds.count(len(piece))
                yield piece
    except _PROBLEMS as error:
        text = (
            f"the zip file can't be unpacked ({error}); make it again, without a password, or send the CSV file itself"
        )
        raise invalid(text) from error


def _only_file(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    if (other := workbook_of(archive.namelist())) is not None:
        raise invalid(other)
    found = [
        entry
        for entry in archive.infolist()
        if not entry.is_dir() and not entry.filename.startswith(_SYSTEM[0]) and not entry.filename.endswith(_SYSTEM[1:])
    ]
    if len(found) == 1:
        if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError("it is not compressed with Deflate")  # others unpack without a bound for a piece
        return found[0]
    if not found:
        raise invalid("the zip file has no file in it; put one CSV file into it")
    names = ", ".join(repr(entry.filename[:80])[1:-1] for entry in found[:5])
    raise invalid(f"the zip file has {len(found):,} files in it ({names}); send one with one CSV file for each job")


class _Careful:
    """A file for `zipfile`, which reads the table of contents in one go, however long the file says it is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > _DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its table of contents is too long")
        return self._file.read(size)
