"""Keeps the before-images of a batch's rows: in groups where nothing is known of them yet, by themselves after that.

Who may make an image, and put another one in its place or take it out (decisions 0033, 0074, 0081 and 0095):

| image | by whom | when | what is done |
|---|---|---|---|
| in a group | the job | the first rows of the group are to be written | made with them, unless it exists |
| in a group | the job | another row with the key was first, or this one changes nothing | taken out, the group stays |
| in a group | the job's rollback | after it has recorded the row | taken out, an empty group goes |
| by itself | the job | the group is there without such an image, or there are no groups | made, if the key has none |
| by itself | another row of the job | the key has this image | nothing: that row is refused |
| by itself | its own row, as `mget` finds it | the document has changed, so it was not written | replaced |
| by itself | its own row, as a search sees it | the document looks changed, but may be older | nothing: decided again |
| by itself | the job | as in a group | taken out |
| by itself | the rollback of a job beneath | the image has what that job wrote | gets what was there before that job |
| by itself | the job's rollback | a later job has got what it has | marked as handed, and void |
| by itself | the job's rollback | after it has recorded the row, and after the group's | taken out |
| receipt | the job | the block is applied, and again without rows that are refused | written as a whole |
| receipt | the job's rollback | after it has recorded the row | loses the row, an empty one goes |

An image by itself counts in place of the one of its row in a group. Before one is replaced, the images of later jobs on
top of the row get what it has. Images and groups are replaced and taken out on the sequence number that they were read
with, but for the note that one is handed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from processor.elastic.answers import Answer
from processor.elastic.conditional import Conditional
from processor.errors import CannotGoOnError
from processor.operations.modes.decisions import Decision, Row, twice
from processor.operations.modes.found import Documents, Found
from processor.operations.modes.groups import Groups, images_in, in_groups, made_group, read_groups, take_out
from processor.operations.modes.images import (
    Claim,
    Image,
    ImageGroup,
    Receipt,
    image_id,
    image_line,
    images_index,
    read_image,
)
from processor.operations.modes.rollback.later import LaterImages
from processor.operations.work import Work
from schemas.messages.blocks import RowBlock

Kept = Image | Claim


class PlannedWrite(msgspec.Struct, gc=False):
    """A row in one round: what was found, what is to be done, and the image of it."""

    at: int
    row: Row
    found: Found | None
    decision: Decision
    image: Image
    held: tuple[Kept, Found] | None = None
    """The image that the index has under the same id already."""


class Round(msgspec.Struct):
    """The rows of a round whose image can't be kept now, by what is to be done with them."""

    again: list[int]
    """Indices of rows that are to be decided again."""
    refused: dict[int, Decision]
    made: set[int]
    """Rows whose image was made in this try, or in an earlier one by a row that another with its key has overtaken: if
    they come to write nothing, it goes."""


class Keeper:
    """Keeps the images of one batch. Everything here raises as `BulkSink.send`."""

    def __init__(self, work: Work, documents: Documents, blocks: Sequence[RowBlock]) -> None:
        self._work = work
        self._documents = documents
        self._images = images_index(work.prefix)
        self._groups = Groups(work.job, blocks) if in_groups(work.job) else None
        self._tried: set[str] = set()
        """The groups that were to be made in this batch. Rows that come to them later have images by themselves."""
        self._replaced: dict[int, Image] = {}
        """Images in groups of an earlier try, in whose place another one comes, by the index of their row."""

    async def keep(
        self, writes: Sequence[PlannedWrite], reports: Sequence[bytes], now: Round, seen: bool
    ) -> list[PlannedWrite]:
        """Keep the images of these, in a request with the bulk items of `reports`; answers those that are kept.

        `seen`: documents are known as a search sees them.
        """
        if self._groups is None:
            return await self._by_itself(writes, reports, now, seen)
        own: dict[str, list[PlannedWrite]] = {}
        alone: list[PlannedWrite] = []
        for write in writes:
            key = self._groups.id_of(write.row.place, write.row.number)
            if key in self._tried:
                alone.append(write)
            else:
                own.setdefault(key, []).append(write)
        kept = await self._by_itself(alone, reports, now, seen) if alone or not own else []
        return kept + await self._grouped(own, () if alone else reports, now, seen) if own else kept

    async def _grouped(
        self, own: Mapping[str, Sequence[PlannedWrite]], reports: Sequence[bytes], now: Round, seen: bool
    ) -> list[PlannedWrite]:
        """As `keep`, in groups that were not tried yet in this batch; `own`: id -> rows."""
        self._tried.update(own)
        items = list(reports)
        async with self._work.making:
            items += [
                Conditional(self._images, key).write(image_line(made_group([write.image for write in some])))
                for key, some in own.items()
            ]
            await asyncio.sleep(0)
        kept: list[PlannedWrite] = []
        there: list[PlannedWrite] = []
        for some, answer in zip(own.values(), await self._sent(items, len(reports)), strict=True):
            if answer.ok:
                kept += some
                now.made.update(write.at for write in some)
            else:
                there += some
        return kept + await self._kept_before(there, now, seen) if there else kept

    async def _kept_before(self, writes: Sequence[PlannedWrite], now: Round, seen: bool) -> list[PlannedWrite]:
        """As `keep`, of rows whose groups an earlier try has kept."""
        entries = await self._entries([write.row for write in writes])
        newer = await self._documents.get(
            self._work, self._images, [image_id(write.image.job_id, write.row.document) for write in writes]
        )
        kept, left = [], []
        for write, other in zip(writes, newer, strict=True):
            image = entries.get((write.row.place, write.row.number))
            if image is None or other is not None:
                left.append(write)
            elif _same(image, write.image):
                kept.append(write)
            else:
                # The document has changed since that image was made, and was not written: it could not have been.
                self._replaced[write.at] = image
                if seen:
                    now.again.append(write.at)  # the image may be of a newer document than a search sees
                else:
                    left.append(write)
        return kept + await self._by_itself(left, (), now, seen)

    async def _by_itself(
        self, writes: Sequence[PlannedWrite], reports: Sequence[bytes], now: Round, seen: bool
    ) -> list[PlannedWrite]:
        """As `keep`, each image in a document of its own."""
        replaced = [self._replaced.pop(write.at) for write in writes if write.at in self._replaced]
        await LaterImages(self._work, self._documents).reassign(replaced)
        items: list[bytes] = list(reports)
        async with self._work.making:
            items += [self._item(write) for write in writes]
            await asyncio.sleep(0)
        answers = await self._sent(items, len(reports))
        now.made.update(write.at for write, answer in zip(writes, answers, strict=True) if answer.ok)
        kept = [write for write, answer in zip(writes, answers, strict=True) if answer.ok]
        held = [write for write, answer in zip(writes, answers, strict=True) if not answer.ok]
        return kept + await self._held_before(held, now, seen) if held else kept

    async def _held_before(self, writes: Sequence[PlannedWrite], now: Round, seen: bool) -> list[PlannedWrite]:
        """As `keep`, of rows under whose key the job has an image already."""
        ids = [image_id(write.image.job_id, write.row.document) for write in writes]
        found = await self._documents.get(self._work, self._images, ids)
        kept: list[PlannedWrite] = []
        replaced = []
        for write, there in zip(writes, found, strict=True):
            if there is None:
                now.again.append(write.at)
                continue
            image = _by_key(there)
            if (owner := row_of(image)) != write.row.number:
                now.refused[write.at] = twice(write.row, owner)
                now.made.add(write.at)  # there may be one in a group
            elif isinstance(image, Image) and _same(image, write.image):
                kept.append(write)
            elif seen:
                now.again.append(write.at)  # the image may be of a newer document than a search sees
            else:
                # The document has changed since that image was made, and was not written: it could not have been.
                write.held = (image, there)
                replaced.append(write)
        # Where a later job has written over what an earlier try of the row wrote, it takes over what was there before.
        stale = [write.held[0] for write in replaced if write.held is not None and isinstance(write.held[0], Image)]
        await LaterImages(self._work, self._documents).reassign(stale)
        items = [self._item(write) for write in replaced]
        for write, answer in zip(replaced, await self._documents.send(self._work, items), strict=True):
            if answer.ok:
                kept.append(write)
            else:
                now.again.append(write.at)
        return kept

    async def held(self, rows: Sequence[tuple[int, Row, int | None]], now: Round) -> dict[int, Kept]:
        """The images of rows, each by its index: that of the row itself, or of the other one that has written what its
        key names, where a number is given."""
        if not rows:
            return {}
        ids = [image_id(self._work.job.id, row.document) for _, row, _ in rows]
        by_key = await self._documents.get(self._work, self._images, ids)
        held = {at: _by_key(there) for (at, _, _), there in zip(rows, by_key, strict=True) if there is not None}
        if self._groups is None:
            return held
        entries = await self._entries([row for _, row, _ in rows])
        others = []
        for at, row, other in rows:
            own, image = entries.get((row.place, row.number)), held.get(at)
            alone = image is not None and row_of(image) == row.number
            if other is not None and (own is not None or alone):
                now.made.add(at)
            if image is not None and row_of(image) == (other or row.number):
                continue
            if other is not None:
                others.append((at, row, other))
            elif own is not None:
                held[at] = own
        found = await LaterImages(self._work, self._documents).own([row.document for _, row, _ in others])
        held.update((at, found[row.document, other]) for at, row, other in others if (row.document, other) in found)
        return held

    async def give_up(self, rows: Sequence[Row]) -> None:
        """Rows that may have images, and that are refused all the same: there is nothing to undo."""
        if not rows:
            return
        if self._groups is not None:
            own: dict[str, set[int]] = {}
            for row in rows:
                own.setdefault(self._groups.id_of(row.place, row.number), set()).add(row.number)
            known = await read_groups(self._work, self._documents, own)
            await take_out(self._work, self._documents, own, known, emptied="stay")
        ids = [image_id(self._work.job.id, row.document) for row in rows]
        found = await self._documents.get(self._work, self._images, ids)
        items = [
            Conditional(self._images, key, there.seq, there.term).delete()
            for key, row, there in zip(ids, rows, found, strict=True)
            if there is not None and row_of(_by_key(there)) == row.number
        ]
        answers = await self._documents.send(self._work, items)
        require([answer for answer in answers if answer.status not in (404, 409)], "an image stays")

    async def _entries(self, rows: Sequence[Row]) -> dict[tuple[int, int], Image]:
        """(place of the block, row) -> the image in a group, of those of these rows that have one."""
        assert self._groups is not None
        places = {self._groups.id_of(row.place, row.number): row.place for row in rows}
        return {
            (places[it.id], image.row): image
            for it in await read_groups(self._work, self._documents, places)
            if isinstance(it.group, ImageGroup)
            for image in images_in(it.group)
        }

    async def _sent(self, items: Sequence[bytes], reports: int) -> Sequence[Answer]:
        """Send `items`, of which the first `reports` are reports; returns the answers to the images. 409: the image is
        there already."""
        answers = await self._documents.send(self._work, items)
        require(answers[:reports], "row errors can't be recorded in Elasticsearch")
        for answer in answers[reports:]:
            if not answer.ok and answer.status != 409:
                raise CannotGoOnError(f"a before-image can't be kept in Elasticsearch: {answer.error}")
        return answers[reports:]

    def _item(self, write: PlannedWrite) -> bytes:
        target = Conditional(self._images, image_id(write.image.job_id, write.row.document))
        if write.held is not None:
            target = Conditional(target.index, target.id, write.held[1].seq, write.held[1].term)
        return target.write(image_line(write.image))


def row_of(image: Kept) -> int:
    """The row that an image, or a claim, is of."""
    return image.row if isinstance(image, Image) else image.unchanged


def require(answers: Sequence[Answer], problem: str) -> None:
    """
    Raises:
        CannotGoOnError: something was refused.
    """
    for answer in answers:
        if not answer.ok:
            raise CannotGoOnError(f"{problem}: {answer.error}")


def _by_key(there: Found) -> Kept:
    image = read_image(there.raw)
    assert not isinstance(image, Receipt | ImageGroup)  # these have ids of another form
    return image


def _same(image: Image, wanted: Image) -> bool:
    """Whether an image of an earlier try has what this one would have; the job's state may have moved on since."""
    return (image.after, image.previous, image.seq) == (wanted.after, wanted.previous, wanted.seq)
