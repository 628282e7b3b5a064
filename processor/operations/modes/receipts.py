"""Receipts: what the rows of a block have created, of a job that only creates. Nothing was there before them.

A receipt only loses rows: those that were refused, and those that a rollback has taken out.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from zlib import crc32

from msgspec.structs import replace

from processor.elastic.documents import bulk_item
from processor.operations.modes.found import digest
from processor.operations.modes.images import Image, Receipt, images_index
from processor.operations.work import Work
from schemas.messages.blocks import RowBlock

_ID_BYTES = 16
_DIGEST_BYTES = 12


def receipt_id(job_id: str, run: int, block: int) -> str:
    """The id of a block's receipt."""
    return f"{job_id}:@{run}-{block}"


def receipt_item(work: Work, block: RowBlock, rows: Sequence[int], lines: Sequence[bytes]) -> bytes:
    """The bulk item of the receipt of a block that only creates; `lines` are the items of its good rows."""
    ids, digests = [], []
    for line in lines:
        head, _, document = line.partition(b"\n")
        ids.append(head.rpartition(b'"_id":"')[2].partition(b'"')[0].decode())
        digests.append(digest(document))
    job = work.job
    receipt = Receipt(
        job_id=job.id,
        first_row=block.first_row,
        last_row=block.last_row,
        order=job.command_offset,
        rows=list(rows),
        written=written_in(ids, digests),
        created=[number_of(document) for document in ids],
        organisation=job.organisation,
        index=work.data_index,
    )
    return bulk_item("index", images_index(work.prefix), receipt_id(job.id, block.run, block.block), receipt)


def number_of(document: str) -> int:
    """The number by which searches find the receipt of a document: 32 bits of its id, so that few others have it."""
    return crc32(document.encode()) - (1 << 31)


def created_by(receipt: Receipt, organisation: str) -> list[Image]:
    """The images that a receipt stands for; `organisation` is that of its job."""
    return [
        Image(
            job_id=receipt.job_id,
            row=row,
            document=f"{organisation}:{part[:_ID_BYTES].hex()}",
            order=receipt.order,
            after=part[_ID_BYTES:].hex(),
            index=receipt.index,
        )
        for row, part in zip(receipt.rows, _parts(receipt), strict=True)
    ]


def without(receipt: Receipt, rows: Collection[int]) -> Receipt:
    """The receipt without these rows."""
    left = [at for at, row in enumerate(receipt.rows) if row not in rows]
    parts = _parts(receipt)
    return replace(
        receipt,
        rows=[receipt.rows[at] for at in left],
        written=b64encode(b"".join(parts[at] for at in left)).decode(),
        created=[receipt.created[at] for at in left] if receipt.created else [],
    )


def written_in(ids: Sequence[str], digests: Sequence[str]) -> str:
    """What a receipt has of documents with these ids and digests."""
    parts = (
        bytes.fromhex(it.rpartition(":")[2]) + bytes.fromhex(after) for it, after in zip(ids, digests, strict=True)
    )
    return b64encode(b"".join(parts)).decode()


def _parts(receipt: Receipt) -> list[bytes]:
    written, size = b64decode(receipt.written), _ID_BYTES + _DIGEST_BYTES
    return [written[at : at + size] for at in range(0, len(written), size)]
