"""Gives back what a job wrote over, row by row, as blocks of a rollback. See decision 0034.

The steps of a batch, and what a crash after each leaves:

1. The images of its rows are read, the documents, and where one is not as the job left it the images of later jobs.
2. Before-images go to the images of jobs that have written over a document since. A repeat finds that they have them.
3. Documents become what they were, on the condition that they are as they were read. A repeat finds them so.
4. What became of each row is recorded, under an id of the block. A repeat adds to it.
5. The images of documents that are restored go. A row without an image counts as it is recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from processor.elastic.bulk import Answer
from processor.elastic.documents import bulk_item
from processor.errors import CannotGoOnError
from processor.operations.modes.found import Documents, Found, Hit, digest, mark_of
from processor.operations.modes.images import (
    Conditional,
    Image,
    Receipt,
    created_by,
    image_id,
    image_line,
    images_index,
    read_image,
)
from processor.operations.modes.outcomes import Left, Undone, intervals, numbers, read_undone, undone_id, undone_index
from processor.operations.modes.verdicts import Verdict, judge, plain
from processor.operations.work import Work
from processor.outcome import Outcome
from schemas.blocks import UndoBlock

ROUNDS = 10
"""So often a document is judged anew that others keep changing."""
PAGE = 5000
_TERMS = 1000
"""Ids in one search, at most."""


@dataclass(slots=True)
class Entry:
    """One row of a job, on its way back."""

    image: Image
    held: Hit | None = None
    """The image's own document; None: it has none, a receipt or the document itself stands for it."""
    reason: str = ""
    """Why it can't be restored; empty: nothing is known against it."""


@dataclass(slots=True)
class _Batch:
    """What became of the rows of some blocks."""

    restored: dict[int, Entry] = field(default_factory=dict)
    untouched: list[Entry] = field(default_factory=list)
    """Rows whose image was kept, and that were never written."""
    kept: dict[int, Left] = field(default_factory=dict)
    failed: dict[int, Left] = field(default_factory=dict)
    handed: list[tuple[Entry, str]] = field(default_factory=list)


class Undoer:
    """Undoes blocks of one job."""

    def __init__(self, work: Work, documents: Documents) -> None:
        self._work = work
        self._documents = documents
        self._images = images_index(work.prefix)
        self._undone = undone_index(work.prefix)

    async def undo(self, blocks: Sequence[UndoBlock]) -> list[Outcome]:
        """Undo blocks; an outcome for each. Raises as `BulkSink.send`."""
        done = await self._restored_before(blocks)
        batch = _Batch()
        # What stands for a receipt does not go when its row is restored.
        left = [entry for entry in await self._entries(blocks) if entry.held or entry.image.row not in done]
        for _ in range(ROUNDS):
            left = await self._round(left, batch)
            if not left:
                break
        for entry in left:
            batch.failed[entry.image.row] = _left(entry, "others change it again and again")
        outcomes = await self._record(blocks, batch)
        await self._forget(batch)
        return outcomes

    async def hand_down(self, images: Sequence[Image]) -> None:
        """Have the images of later jobs take over what is in these, where those wrote on top of them."""
        later = await self._later([Entry(image) for image in images])
        await self._give([judge(image, None, later.get(image.document, ())) for image in images])

    # -- what there is to undo ---------------------------------------------------------------------------------------

    async def _entries(self, blocks: Sequence[UndoBlock]) -> list[Entry]:
        await self._documents.refresh(self._work, self._images)
        found: dict[tuple[str, int], Entry] = {}
        receipts = False
        for block in blocks:
            for hit in await self._hits(block.first_row, block.last_row):
                image = read_image(hit.source)
                if isinstance(image, Image):
                    _add(found, Entry(image, hit))
                elif isinstance(image, Receipt):
                    receipts = True
                    for made in created_by(image, self._work.job.organisation):
                        if block.first_row <= made.row <= block.last_row:
                            _add(found, Entry(made))
        job = self._work.job
        # Of a job that only creates the documents themselves say what it wrote; of others a late one may.
        if job.undone is not None or (job.mode == "create" and not receipts):
            for block in blocks:
                for entry in await self._strays(block, {document for document, _ in found}):
                    found[entry.image.document, entry.image.row] = entry
        return list(found.values())

    async def _restored_before(self, blocks: Sequence[UndoBlock]) -> set[int]:
        """The rows that are recorded as restored, by an earlier try of these blocks or an earlier round."""
        job = self._work.job
        ids = [undone_id(job.id, job.run, block.block) for block in blocks]
        known = [there.raw for there in await self._documents.get(self._work, self._undone, ids) if there is not None]
        if job.undone is not None:
            await self._documents.refresh(self._work, self._undone)
            for block in blocks:
                query = _filtered(
                    {"term": {"job_id": job.id}},
                    {"range": {"first_row": {"lte": block.last_row}}},
                    {"range": {"last_row": {"gte": block.first_row}}},
                )
                known += [
                    bytes(hit.source) for hit in await self._documents.search(self._work, self._undone, query, 10_000)
                ]
        return {row for raw in known for row in numbers(read_undone(raw).restored)}

    async def _hits(self, first: int, last: int) -> list[Hit]:
        """The images and receipts of rows, by row ranges that no search cuts off."""
        found: list[Hit] = []
        for start in range(first, last + 1, PAGE):
            end = min(last, start + PAGE - 1)
            rows = {"range": {"row": {"gte": start, "lte": end}}}
            over = [{"range": {"first_row": {"lte": end}}}, {"range": {"last_row": {"gte": start}}}]
            query = _filtered(
                {"term": {"job_id": self._work.job.id}}, {"bool": {"should": [rows, {"bool": {"filter": over}}]}}
            )
            found += await self._documents.search(self._work, self._images, query, 2 * PAGE)
        return found

    async def _strays(self, block: UndoBlock, known: Collection[str]) -> list[Entry]:
        """Documents that carry the job's mark, and of which it has no image."""
        work = self._work
        await self._documents.refresh(work, work.data_index)
        found: list[Entry] = []
        for start in range(block.first_row, block.last_row + 1, PAGE):
            rows = {"range": {"sluice.row_number": {"gte": start, "lte": min(block.last_row, start + PAGE - 1)}}}
            query = _filtered({"term": {"sluice.job_id": work.job.id}}, rows)
            for hit in await self._documents.search(work, work.data_index, query, PAGE, version=True):
                if hit.id in known:
                    continue
                raw = Found(hit.source, hit.seq, hit.term).raw
                image = Image(
                    job_id=work.job.id, row=mark_of(raw).row_number, document=hit.id, order=0, after=digest(raw)
                )
                # The first version of a document is one that the job has made: nothing was there before.
                made = work.job.mode == "create" or hit.version == 1
                found.append(Entry(image, reason="" if made else "its before-image is not kept any more"))
        return found

    # -- giving back -------------------------------------------------------------------------------------------------

    async def _round(self, entries: Sequence[Entry], batch: _Batch) -> list[Entry]:
        """Judge these, and do it; answers those that have changed meanwhile."""
        work = self._work
        found = await self._documents.get(work, work.data_index, [entry.image.document for entry in entries])
        now = [
            (entry, there, there.raw if there is not None else None)
            for entry, there in zip(entries, found, strict=True)
        ]
        later = await self._later([entry for entry, _, raw in now if not plain(entry.image, raw)])
        items: list[bytes] = []
        doing: list[tuple[Entry, bool]] = []
        again: list[Entry] = []
        verdicts = [
            judge(entry.image, raw, later.get(entry.image.document, ()), work.job.force) for entry, _, raw in now
        ]
        given = await self._give(verdicts)
        for (entry, there, raw), verdict, taken in zip(now, verdicts, given, strict=True):
            row = entry.image.row
            if entry.reason:
                batch.failed[row] = _left(entry, entry.reason)
                continue
            if not taken:
                again.append(entry)
                continue
            if verdict.kind == "kept" and entry.held is None and _refused_then(entry.image, raw, verdict):
                continue
            if verdict.kind == "kept":
                batch.kept[row] = _left(entry, verdict.reason, verdict.job)
                if verdict.handed and verdict.job is not None:
                    batch.handed.append((entry, verdict.job))
                continue
            item = self._item(entry.image, there, verdict)
            if item is None:
                batch.restored[row] = entry
            else:
                items.append(item)
                doing.append((entry, there is not None and there.seq == entry.image.seq))
        for (entry, untouched), answer in zip(doing, await self._sent(items), strict=True):
            if answer.ok and untouched:
                batch.untouched.append(entry)
            elif answer.ok:
                batch.restored[entry.image.row] = entry
            elif answer.status in (404, 409):
                again.append(entry)
            else:
                batch.failed[entry.image.row] = _left(entry, f"Elasticsearch refuses it: {answer.error[:500]}")
        return again

    def _item(self, image: Image, there: Found | None, verdict: Verdict) -> bytes | None:
        """The bulk item that makes a document what it was; None: nothing has to be done."""
        index, before = self._work.data_index, image.previous
        if there is None:
            return Conditional(index, image.document).write(before) if before is not None else None
        target = Conditional(index, image.document, there.seq, there.term)
        if before is None:
            return target.delete()
        # Also where it is that already: a write of the job that is still on its way finds another sequence number.
        return target.write(before)

    async def _later(self, entries: Sequence[Entry]) -> dict[str, list[Image]]:
        """Document -> the images that other jobs have made of it after these, the earliest first."""
        if not entries:
            return {}
        since = {entry.image.document: entry.image for entry in entries}
        await self._documents.refresh(self._work, self._images)
        found: dict[str, list[Image]] = {}
        documents = list(since)
        for at in range(0, len(documents), _TERMS):
            query = _filtered({"terms": {"document": documents[at : at + _TERMS]}})
            for hit in await self._documents.search(self._work, self._images, query, 10_000):
                image = read_image(hit.source)
                assert isinstance(image, Image)
                own = since[image.document]
                if image.job_id != own.job_id and image.order > own.order:
                    found.setdefault(image.document, []).append(image)
        return {document: sorted(images, key=lambda image: image.order) for document, images in found.items()}

    async def _give(self, verdicts: Sequence[Verdict]) -> list[bool]:
        """Have the heirs of each verdict take the place of the images that there are; False: one has changed."""
        heirs = [(at, heir) for at, verdict in enumerate(verdicts) for heir in verdict.heirs]
        ids = [image_id(heir.job_id, heir.document) for _, heir in heirs]
        found = await self._documents.get(self._work, self._images, ids)
        taken = [True] * len(verdicts)
        items: list[bytes] = []
        given: list[int] = []
        for (at, heir), key, there in zip(heirs, ids, found, strict=True):
            target = Conditional(self._images, key)
            if there is not None:
                known = read_image(there.raw)
                if isinstance(known, Image) and (known.row, known.after) != (heir.row, heir.after):
                    taken[at] = False
                    continue
                target = Conditional(self._images, key, there.seq, there.term)
            items.append(target.write(image_line(heir)))
            given.append(at)
        for at, answer in zip(given, await self._sent(items), strict=True):
            taken[at] = taken[at] and answer.ok
        return taken

    # -- what became of it -------------------------------------------------------------------------------------------

    async def _record(self, blocks: Sequence[UndoBlock], batch: _Batch) -> list[Outcome]:
        job = self._work.job
        ids = [undone_id(job.id, job.run, block.block) for block in blocks]
        known = await self._documents.get(self._work, self._undone, ids)
        items, outcomes = [], []
        for key, block, earlier in zip(ids, blocks, known, strict=True):
            before = read_undone(earlier.raw) if earlier is not None else None
            own = range(block.first_row, block.last_row + 1)
            kept = [left for row, left in sorted(batch.kept.items()) if row in own]
            failed = [left for row, left in sorted(batch.failed.items()) if row in own]
            restored = {row for row in batch.restored if row in own}
            if before is not None:
                restored |= numbers(before.restored) - {left.row for left in (*kept, *failed)}
            undone = Undone(
                job_id=job.id,
                run=job.run,
                block=block.block,
                first_row=block.first_row,
                last_row=block.last_row,
                restored=intervals(restored),
                kept=kept,
                failed=failed,
            )
            items.append(bulk_item("index", self._undone, key, undone))
            outcomes.append(
                Outcome(
                    undone=len(restored),
                    restored=len(restored),
                    kept=len(kept),
                    not_restored=len(failed),
                    last_row=block.last_row,
                )
            )
        for entry, heir in batch.handed:
            image = replace(entry.image, handed=heir)
            key = image_id(image.job_id, image.document)
            items.append(bulk_item("index", self._images, key, msgspec.Raw(image_line(image))))
        await self._work.send(items)
        return outcomes

    async def _forget(self, batch: _Batch) -> None:
        """Take out the images of what is restored."""
        items = [
            Conditional(self._images, entry.held.id, entry.held.seq, entry.held.term).delete()
            for entry in (*batch.restored.values(), *batch.untouched)
            if entry.held is not None
        ]
        for answer in await self._sent(items):
            if not answer.ok and answer.status not in (404, 409):
                raise CannotGoOnError(f"a before-image can't be taken out: {answer.error}")

    async def _sent(self, items: list[bytes]) -> list[Answer]:
        return await self._work.sink.send(items, self._work.gate) if items else []


def _add(found: dict[tuple[str, int], Entry], entry: Entry) -> None:
    """Note an entry; where a receipt and an image are of one row, what was there before is in the image."""
    key = entry.image.document, entry.image.row
    known = found.get(key)
    if known is None:
        found[key] = entry
        return
    image, receipt = (entry, known) if entry.held is not None else (known, entry)
    image.image = replace(image.image, after=receipt.image.after)
    found[key] = image


def _refused_then(image: Image, now: bytes | None, verdict: Verdict) -> bool:
    """Whether a row of a receipt was refused, as its key was taken; the worker died before the receipt told of it."""
    if now is None or verdict.handed:
        return False
    mark = mark_of(now)
    return bool(mark.job_id) and (mark.job_id, mark.row_number) != (image.job_id, image.row)


def _left(entry: Entry, reason: str, job: str | None = None) -> Left:
    return Left(row=entry.image.row, document=entry.image.document, reason=reason, job=job)


def _filtered(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"filter": list(filters)}}
