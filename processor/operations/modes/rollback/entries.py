"""The rows of a job that blocks of its rollback have to give back: from its images, its receipts, or its mark alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from processor.elastic.reading import Hit, find_all
from processor.operations.modes.found import Documents, Mark, digest, mark_of
from processor.operations.modes.groups import KeptGroup, images_in
from processor.operations.modes.images import Image, ImageGroup, Receipt, images_index, read_image
from processor.operations.modes.portions import fitting
from processor.operations.modes.receipts import created_by
from processor.operations.modes.rollback.outcomes import Undone, numbers, read_undone, undone_id, undone_index
from processor.operations.remaining_rows import own_documents
from processor.operations.work import Work
from schemas.messages.blocks import UndoBlock

PAGE = 5000
MOST = 10_000
"""Documents that Elasticsearch finds in one search, at most."""


@dataclass(slots=True)
class Entry:
    """One row of a job, on its way back."""

    image: Image
    held: Hit | None = None
    """The image's own document; None: it has none."""
    group: KeptGroup | None = None
    """The group that has an image of the row, older than the one of its own where there is such a one."""
    receipts: tuple[KeptGroup, ...] = ()
    """The receipts that name the row: each run of the job has its own."""
    reason: str = ""
    """Why it can't be restored; empty: nothing is known against it."""

    @property
    def imaged(self) -> bool:
        """Whether there is an image of the row; else a receipt or the document itself stands for it."""
        return self.held is not None or self.group is not None


@dataclass(frozen=True, slots=True)
class Portion:
    """Some rows of the blocks of a batch."""

    blocks: list[UndoBlock]
    """The blocks that have any of the rows."""
    entries: list[Entry]


class Entries:
    """Finds them. Everything here raises as `BulkSink.ask`."""

    def __init__(self, work: Work, documents: Documents) -> None:
        self._work = work
        self._documents = documents
        self._images = images_index(work.prefix)
        self._undone = undone_index(work.prefix)

    async def portions(self, blocks: Sequence[UndoBlock], recorded: bool) -> AsyncIterator[Portion]:
        """The entries of these blocks, portion by portion. `recorded`: an earlier try of one has recorded what became
        of its rows, and may have taken images out.
        """
        await fresh_images(self._work, self._documents, self._images, again=recorded)
        blocks = sorted(blocks, key=lambda block: block.first_row)
        work, most, done = self._work, self._work.sink.batch_bytes, 0
        kind = "images", work.data_index, work.job.organisation
        while blocks:
            at_once = self._documents.portions.rows(kind)
            ranges = list(_ranges(blocks, done, min(at_once, self._documents.rows_at_once(work))))
            entries = sorted(await self._of(ranges), key=lambda entry: entry.image.row)
            done = ranges[-1][1]
            rows, sizes = sum(last - first + 1 for first, last in ranges), [len(it.image.before) for it in entries]
            self._documents.portions.note(kind, rows, sum(sizes), most)
            if not entries:
                self._documents.note(work, rows, 0)
            # There may be more than was to be expected.
            if (fit := fitting(sizes, most)) < len(entries):
                done = entries[fit - 1].image.row
                entries = [entry for entry in entries if entry.image.row <= done]
            yield Portion([block for block in blocks if block.first_row <= done], entries)
            blocks = [block for block in blocks if block.last_row > done]

    async def _of(self, ranges: Sequence[tuple[int, int]]) -> list[Entry]:
        """The entries of these rows."""
        found: dict[tuple[str, int], Entry] = {}
        receipts = False
        for first, last in ranges:
            for hit in await self._hits(first, last):
                match read_image(hit.source):
                    case Image() as image:
                        _add(found, Entry(image, hit))
                    case ImageGroup() as group:
                        kept = KeptGroup(hit.id, group, hit.seq, hit.term)
                        for image in images_in(group):
                            if first <= image.row <= last:
                                _add(found, Entry(image, group=kept))
                    case Receipt() as receipt:
                        receipts = True
                        its = KeptGroup(hit.id, receipt, hit.seq, hit.term)
                        for made in created_by(receipt, self._work.job.organisation):
                            if first <= made.row <= last:
                                _add(found, Entry(made, receipts=(its,)))
        job = self._work.job
        # If a job only creates, the documents themselves say what it wrote; for other jobs a late document may say so.
        if job.undone is not None or (job.mode == "create" and not receipts):
            for first, last in ranges:
                for entry in await self._without_images(first, last, {document for document, _ in found}):
                    found[entry.image.document, entry.image.row] = entry
        return list(found.values())

    async def recorded(self, blocks: Sequence[UndoBlock]) -> dict[int, Undone]:
        """Block -> what an earlier try has recorded of it, where one has."""
        job = self._work.job
        ids = [undone_id(job.id, job.run, block.block) for block in blocks]
        found = await self._documents.get(self._work, self._undone, ids)
        return {
            block.block: read_undone(there.raw) for block, there in zip(blocks, found, strict=True) if there is not None
        }

    async def restored_before(self, blocks: Sequence[UndoBlock], recorded: Iterable[Undone]) -> set[int]:
        """The rows that are recorded as restored, by an earlier try of these blocks or an earlier round."""
        job = self._work.job
        known = list(recorded)
        if job.undone is not None:
            await self._documents.refresh(self._work, self._undone)
            for block in blocks:
                query = filtered(
                    {"term": {"job_id": job.id}},
                    {"range": {"first_row": {"lte": block.last_row}}},
                    {"range": {"last_row": {"gte": block.first_row}}},
                )
                hits = await self._documents.search(self._work, self._undone, query, MOST)
                known += [read_undone(bytes(hit.source)) for hit in hits]
        return {row for undone in known for row in numbers(undone.restored)}

    async def taken_back(self, images: Sequence[Image]) -> set[str]:
        """The documents of those of these images that have what a row of another job wrote, where a rollback of that
        job has restored the row."""
        work, written = self._work, dict[str, list[tuple[int, str]]]()
        for image in images:
            mark = mark_of(image.previous) if image.previous is not None else Mark()
            if mark.job_id not in ("", image.job_id):
                written.setdefault(mark.job_id, []).append((mark.row_number, image.document))
        if not written:
            return set()
        await self._documents.refresh_once(work, self._undone)
        found: set[str] = set()
        for job_id, rows in written.items():
            rows.sort()
            over = [{"range": {"first_row": {"lte": rows[-1][0]}}}, {"range": {"last_row": {"gte": rows[0][0]}}}]
            blocks = find_all(
                work.sink,
                work.gate,
                self._undone,
                [{"term": {"job_id": job_id}}, *over],
                "first_row",
                source=True,
                client=self._documents.client,
            )
            async for hits in blocks:
                restored = {row for hit in hits for row in numbers(read_undone(bytes(hit.source)).restored)}
                found.update(document for row, document in rows if row in restored)
        return found

    async def _hits(self, first: int, last: int) -> list[Hit]:
        """The images and receipts of rows, by row ranges that no search cuts off."""
        found: list[Hit] = []
        for start in range(first, last + 1, PAGE):
            end = min(last, start + PAGE - 1)
            rows = {"range": {"row": {"gte": start, "lte": end}}}
            over = [{"range": {"first_row": {"lte": end}}}, {"range": {"last_row": {"gte": start}}}]
            query = filtered(
                {"term": {"job_id": self._work.job.id}}, {"bool": {"should": [rows, {"bool": {"filter": over}}]}}
            )
            found += await self._documents.search(self._work, self._images, query, 2 * PAGE)
        return found

    async def _without_images(self, first: int, last: int, known: Collection[str]) -> list[Entry]:
        """Documents of the job's rows that carry its mark, and of which it has no image."""
        work, job = self._work, self._work.job
        await self._documents.refresh(work, work.data_index)
        own = own_documents(
            work, work.data_index, job.organisation, first=first, last=last, seq_no_primary_term=True, version=True
        )
        hits = [one async for some in own for one in some if one[1].id not in known]
        there = await self._documents.get(work, work.data_index, [hit.id for _, hit in hits])
        found: list[Entry] = []
        for (row, hit), document in zip(hits, there, strict=True):
            if document is None or document.seq != hit.seq:
                continue  # it has changed since: the count finds it, if it still carries the mark
            image = Image(job_id=job.id, row=row, document=hit.id, order=0, after=digest(document.raw))
            # The first version of a document is one that the job has made: nothing was there before.
            made = job.mode == "create" or hit.version == 1
            found.append(Entry(image, reason="" if made else "its before-image is not kept any more"))
        return found


def _ranges(blocks: Iterable[UndoBlock], done: int, most: int) -> Iterator[tuple[int, int]]:
    """The rows of blocks behind the row `done`, as ranges, so many rows at most."""
    for block in blocks:
        first = max(block.first_row, done + 1)
        last = min(block.last_row, first + most - 1)
        if first <= last:
            yield first, last
            most -= last - first + 1


async def fresh_images(work: Work, documents: Documents, index: str, *, again: bool) -> None:
    """Have searches see the images that there are.

    While a job gives documents back that no other one may write or give back (its exclusive key), images are made and
    changed by itself alone: once in an epoch is enough, unless it looks for what it has done itself (`again`).
    """
    alone = work.job.restores and work.job.exclusive_key is not None
    await (documents.refresh_once if alone and not again else documents.refresh)(work, index)


def _add(found: dict[tuple[str, int], Entry], entry: Entry) -> None:
    """Note an entry; where a receipt and an image are of one row, what was there before is in the image, and where two
    images are, the one by itself counts."""
    key = entry.image.document, entry.image.row
    known = found.get(key)
    if known is None:
        found[key] = entry
        return
    receipts = (*known.receipts, *entry.receipts)
    if entry.group is not None or known.group is not None:
        found[key] = Entry(
            (entry if entry.held is not None else known).image,
            entry.held or known.held,
            entry.group or known.group,
            receipts,
        )
        return
    image, receipt = (entry, known) if entry.held is not None else (known, entry)
    found[key] = Entry(replace(image.image, after=receipt.image.after), image.held, receipts=receipts)


def filtered(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"filter": list(filters)}}
