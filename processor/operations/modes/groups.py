"""Groups of before-images: one document of the index has those of some rows of a block. See decision 0081.

A document costs Elasticsearch about as much with a hundred images in it as with one. A group is made once, and after
that only loses images: of rows that were not written after all, and of rows that a rollback has restored. Whatever else
is to be noted about an image is noted in one by itself, which counts in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from processor.elastic.conditional import Conditional
from processor.elastic.reading import Hit
from processor.errors import CannotGoOnError
from processor.operations.modes.found import Documents, Found
from processor.operations.modes.images import (
    GroupedImage,
    Image,
    ImageGroup,
    Receipt,
    image_line,
    images_index,
    read_image,
)
from processor.operations.modes.receipts import created_by, without
from processor.operations.work import Work
from runtime.network.retrying import Backoff
from schemas.job import Job
from schemas.messages.blocks import RowBlock
from schemas.messages.formats import IMAGE_GROUPS

GROUP_ROWS: Final = 100
"""Rows of a block whose images share one document. A search for the image of one row reads those of all."""
ROUNDS: Final = 100
"""How often a batch reads a group again that other batches keep changing."""
BACKOFF: Final = Backoff(first=0.01, longest=0.5)
"""Pauses before that: else they would get into each other's way again and again."""


class KeptGroup(msgspec.Struct, frozen=True):
    """A group, or a receipt, as it was read."""

    id: str
    group: ImageGroup | Receipt
    seq: int
    term: int


class Groups:
    """Which group the rows of a batch belong to."""

    def __init__(self, job: Job, blocks: Sequence[RowBlock]) -> None:
        self._heads = [f"{job.id}:@{block.run}-{block.block}." for block in blocks]
        self._places = [{number: at for at, number in enumerate(block.row_numbers)} for block in blocks]

    def id_of(self, place: int, number: int) -> str:
        """The id of the group of a row; `place` is its block's in the batch. A repeat finds the same."""
        return f"{self._heads[place]}{self._places[place][number] // GROUP_ROWS}"


def in_groups(job: Job) -> bool:
    """Whether the job's images are kept in groups. Processes that know of none may work on older jobs; and once a row
    has taken its document out, only an image under the key tells the next row so."""
    return job.needs >= IMAGE_GROUPS and job.mode != "delete"


def made_group(images: Sequence[Image]) -> ImageGroup:
    """The group of these images, of which there is at least one."""
    rows = [image.row for image in images]
    return ImageGroup(
        job_id=images[0].job_id,
        order=images[0].order,
        first_row=min(rows),
        last_row=max(rows),
        entries=len(images),
        document=[image.document for image in images],
        images=[GroupedImage(row=image.row, after=image.after, before=image.before, seq=image.seq) for image in images],
        index=images[0].index,
    )


def images_in(group: ImageGroup) -> list[Image]:
    """The images of a group."""
    return [
        Image(
            job_id=group.job_id,
            row=it.row,
            document=document,
            order=group.order,
            after=it.after,
            before=it.before,
            seq=it.seq,
            index=group.index,
        )
        for document, it in zip(group.document, group.images, strict=True)
    ]


def images_of(hits: Iterable[Hit], organisation: str) -> list[Image]:
    """The images that documents of the index have or stand for, those of a group or a receipt that count; claims have
    none. A search may find receipts of other organisations than this one, which do not count.
    """
    found: dict[tuple[str, str, int], Image] = {}
    for hit in hits:
        match read_image(hit.source):
            case ImageGroup() as group:
                for image in images_in(group):
                    found.setdefault((image.job_id, image.document, image.row), image)
            case Receipt() as receipt if receipt.organisation == organisation:
                for image in created_by(receipt, organisation):
                    found.setdefault((image.job_id, image.document, image.row), image)
            case Image() as image:
                found[image.job_id, image.document, image.row] = image
    return list(found.values())


async def read_groups(work: Work, documents: Documents, ids: Collection[str]) -> list[KeptGroup]:
    """The groups among `ids` that exist. Raises as `BulkSink.ask`."""
    ids = list(ids)
    found = await documents.get(work, images_index(work.prefix), ids)
    return [_kept(key, there) for key, there in zip(ids, found, strict=True) if there is not None]


async def take_out(
    work: Work,
    documents: Documents,
    rows: Mapping[str, set[int]],
    known: Iterable[KeptGroup],
    *,
    emptied: Literal["go", "stay"] = "go",
) -> None:
    """Take rows out of groups and receipts, each named by its id.

    `known`: these as they were read. `emptied`: what becomes of those that have no other row. While a job writes, a
    group has to stay: without it a repeat would make it anew, beside images that rows of it have by themselves and
    that would count in place of the newer ones. Raises as `BulkSink.send`.
    """
    index, pauses = images_index(work.prefix), BACKOFF.pauses()
    for _ in range(ROUNDS):
        changed: list[str] = []
        items: list[bytes] = []
        for it in known:
            left = _left(it.group, rows[it.id])
            if left is it.group:
                continue
            if left is None and emptied == "stay" and isinstance(it.group, ImageGroup):
                left = replace(it.group, entries=0, document=[], images=[])
            target = Conditional(index, it.id, it.seq, it.term)
            items.append(target.write(image_line(left)) if left is not None else target.delete())
            changed.append(it.id)
        again = []
        for key, answer in zip(changed, await documents.send(work, items), strict=True):
            if answer.status == 409:
                again.append(key)
            elif not answer.ok and answer.status != 404:
                raise CannotGoOnError(f"before-images can't be taken out: {answer.error}")
        if not again:
            return
        await work.sink.rest(next(pauses))
        known = await read_groups(work, documents, again)
    raise CannotGoOnError("before-images can't be taken out: others change them again and again; try again")


def _left(group: ImageGroup | Receipt, rows: Collection[int]) -> ImageGroup | Receipt | None:
    """What is left of a group without these rows: itself if it has none of them, None if it has no other."""
    own = group.rows if isinstance(group, Receipt) else [image.row for image in group.images]
    gone = [row for row in own if row in rows]
    if not gone or len(gone) == len(own):
        return None if gone else group
    if isinstance(group, Receipt):
        return without(group, rows)
    return made_group([image for image in images_in(group) if image.row not in rows])


def _kept(key: str, there: Found) -> KeptGroup:
    group = read_image(there.raw)
    assert isinstance(group, ImageGroup | Receipt)
    return KeptGroup(key, group, there.seq, there.term)
