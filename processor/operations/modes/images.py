"""Before-images: what a job's row found under its key, kept before the row is written. See decision 0033.

Each good row of a job in a mode that writes over documents leaves one document in the index ``images``, under an id
made of the job and the key, so a key is claimed once in a job: an image, or a claim for a row that changes nothing.
Jobs that only create leave receipts instead, one for a block: nothing was there before.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

import msgspec

from schemas.indices import index_name

_ID_BYTES = 16
_DIGEST_BYTES = 12
_encode = msgspec.json.Encoder().encode


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What a row found, and what it was about to write."""

    job_id: str
    row: int
    document: str
    """The document's id."""
    order: int
    """Which came first of several images of one document: the offset of the newest command in the job's state. Jobs
    that write the same documents take turns."""
    after: str | None
    """Digest of what the row wrote; None: it took the document out."""
    before: msgspec.Raw = msgspec.Raw(b"null")
    """The document as it was; null: there was none."""
    seq: int = -1
    """Sequence number of what was there before; -1: there was none, or it came from the image of another job."""
    took: tuple[str, ...] = ()
    """Jobs that were rolled back beneath this one, whose before-images it has taken over; `before` is the last's."""
    handed: str | None = None
    """The job is rolled back, and this was given to the image of the job that has written over the document since."""

    @property
    def previous(self) -> bytes | None:
        """The document as it was; None: there was none."""
        raw = bytes(self.before)
        return None if raw == b"null" else raw


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a row that changes nothing."""

    job_id: str
    unchanged: int
    """The row's number."""
    order: int = 0
    """As that of an image."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of a block have created."""

    job_id: str
    first_row: int
    last_row: int
    order: int
    rows: list[int]
    written: str
    """Of each row the key's part of its document's id, and the digest of the document; base64."""


class _Kept(msgspec.Struct, frozen=True):
    job_id: str = ""
    row: int | None = None
    document: str = ""
    order: int = 0
    after: str | None = None
    before: msgspec.Raw = msgspec.Raw(b"null")
    seq: int = -1
    took: tuple[str, ...] = ()
    handed: str | None = None
    unchanged: int | None = None
    first_row: int = 0
    last_row: int = 0
    rows: list[int] = []
    written: str | None = None


_kept = msgspec.json.Decoder(_Kept).decode


def images_index(prefix: str) -> str:
    """The index of before-images, of all datasets: a job's own part of it is what has its id."""
    return index_name(prefix, "images")


def image_id(job_id: str, document: str) -> str:
    """The id of a job's image, or claim, of a document."""
    return f"{job_id}:{document.rpartition(':')[2]}"


def receipt_id(job_id: str, run: int, block: int) -> str:
    """The id of a block's receipt."""
    return f"{job_id}:@{run}-{block}"


def read_image(raw: bytes) -> Image | Claim | Receipt:
    """What a document of the index is."""
    kept = _kept(raw)
    if kept.unchanged is not None:
        return Claim(job_id=kept.job_id, unchanged=kept.unchanged, order=kept.order)
    if kept.row is None:
        return Receipt(
            job_id=kept.job_id,
            first_row=kept.first_row,
            last_row=kept.last_row,
            order=kept.order,
            rows=kept.rows,
            written=kept.written or "",
        )
    return Image(
        job_id=kept.job_id,
        row=kept.row,
        document=kept.document,
        order=kept.order,
        after=kept.after,
        before=kept.before,
        seq=kept.seq,
        took=kept.took,
        handed=kept.handed,
    )


def image_line(image: Image | Claim | Receipt) -> bytes:
    """The document of an image, a claim or a receipt, as a line of a bulk request."""
    return _encode(image)


def made_receipt(
    job_id: str,
    order: int,
    first_row: int,
    last_row: int,
    rows: Sequence[int],
    ids: Sequence[str],
    digests: Sequence[str],
) -> Receipt:
    """The receipt of a block."""
    written = b"".join(
        bytes.fromhex(document.rpartition(":")[2]) + bytes.fromhex(after)
        for document, after in zip(ids, digests, strict=True)
    )
    return Receipt(
        job_id=job_id,
        first_row=first_row,
        last_row=last_row,
        order=order,
        rows=list(rows),
        written=b64encode(written).decode(),
    )


def created_by(receipt: Receipt, organisation: str) -> list[Image]:
    """The images that a receipt stands for."""
    written, size = b64decode(receipt.written), _ID_BYTES + _DIGEST_BYTES
    parts = [written[at : at + size] for at in range(0, len(written), size)]
    return [
        Image(
            job_id=receipt.job_id,
            row=row,
            document=f"{organisation}:{part[:_ID_BYTES].hex()}",
            order=receipt.order,
            after=part[_ID_BYTES:].hex(),
        )
        for row, part in zip(receipt.rows, parts, strict=True)
    ]


class Conditional(msgspec.Struct, frozen=True, gc=False):
    """A bulk item on one document, carried out only if it is as it was when it was read."""

    index: str
    id: str
    seq: int | None = None
    """Sequence number of what was read; None: there was nothing."""
    term: int = 0

    def write(self, line: bytes) -> bytes:
        """Write the document, whose JSON is `line`."""
        if self.seq is None:
            return b'{"create":{"_index":%b,"_id":%b}}\n%b' % (_encode(self.index), _encode(self.id), line)
        return b'{"index":%b}\n%b' % (self._head(), line)

    def delete(self) -> bytes:
        """Take it out."""
        return b'{"delete":%b}' % self._head()

    def _head(self) -> bytes:
        return b'{"_index":%b,"_id":%b,"if_seq_no":%d,"if_primary_term":%d}' % (
            _encode(self.index),
            _encode(self.id),
            self.seq if self.seq is not None else -1,
            self.term,
        )
