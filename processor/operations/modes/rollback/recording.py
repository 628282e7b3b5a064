"""What became of the rows of a batch of a rollback: it is recorded, and after that the images that are void go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from processor.elastic.conditional import Conditional
from processor.elastic.documents import bulk_item
from processor.errors import CannotGoOnError
from processor.operations.modes.found import Documents
from processor.operations.modes.groups import KeptGroup, take_out
from processor.operations.modes.images import image_id, image_line, images_index
from processor.operations.modes.rollback.entries import Entry
from processor.operations.modes.rollback.outcomes import Left, Undone, numbers, undone_id, undone_index
from processor.operations.modes.rollback.verdicts import Verdict
from processor.operations.work import Work
from processor.outcome import Outcome
from schemas.descriptors.intervals import merged
from schemas.messages.blocks import UndoBlock


class Recording:
    """What became of the rows of some blocks, as far as they have been worked on."""

    def __init__(self, work: Work, documents: Documents, recorded: Mapping[int, Undone]) -> None:
        """`recorded`: block -> what an earlier try of it has recorded."""
        self._work = work
        self._documents = documents
        self._recorded = recorded
        self._restored: set[int] = set()
        self._kept: dict[int, Left] = {}
        self._failed: dict[int, Left] = {}
        self._void: list[Entry] = []
        """Of rows whose images, and whose names in receipts, are to go."""
        self._reassigned: list[tuple[Entry, str]] = []

    def restored(self, entry: Entry) -> None:
        """The document is what it was before the job."""
        self._restored.add(entry.image.row)
        self._void.append(entry)

    def untouched(self, entries: Iterable[Entry]) -> None:
        """The rows were never written, or an earlier try has restored them."""
        self._void += entries

    def kept(self, entry: Entry, verdict: Verdict) -> None:
        """The document stays as it is."""
        self._kept[entry.image.row] = _left(entry, verdict.reason, verdict.job)
        if verdict.reassigned and verdict.job is not None:
            self._reassigned.append((entry, verdict.job))

    def failed(self, entry: Entry, reason: str) -> None:
        """The document can't be given back."""
        self._failed[entry.image.row] = _left(entry, reason)

    async def settle(self, blocks: Sequence[UndoBlock]) -> None:
        """Record what is known of these blocks by now, then have the images go. Raises as `BulkSink.send`."""
        job, index = self._work.job, undone_index(self._work.prefix)
        items = [bulk_item("index", index, undone_id(job.id, job.run, it.block), self._undone(it)) for it in blocks]
        for entry, job_id in self._reassigned:
            image = replace(entry.image, handed=job_id)
            key = image_id(image.job_id, image.document)
            items.append(bulk_item("index", images_index(self._work.prefix), key, msgspec.Raw(image_line(image))))
        await self._work.send(items)
        await self._forget()
        self._reassigned.clear()
        self._void.clear()

    def outcome(self, block: UndoBlock) -> Outcome:
        """What became of the rows of a block."""
        undone = self._undone(block)
        restored = len(numbers(undone.restored))
        return Outcome(
            undone=restored,
            restored=restored,
            kept=len(undone.kept),
            not_restored=len(undone.failed),
            last_row=block.last_row,
        )

    def _undone(self, block: UndoBlock) -> Undone:
        job, own = self._work.job, range(block.first_row, block.last_row + 1)
        kept = [left for row, left in sorted(self._kept.items()) if row in own]
        failed = [left for row, left in sorted(self._failed.items()) if row in own]
        restored = {row for row in self._restored if row in own}
        if (before := self._recorded.get(block.block)) is not None:
            restored |= numbers(before.restored) - {left.row for left in (*kept, *failed)}
        return Undone(
            job_id=job.id,
            run=job.run,
            block=block.block,
            first_row=block.first_row,
            last_row=block.last_row,
            restored=merged(((row, row) for row in sorted(restored)), 0),
            kept=kept,
            failed=failed,
            order=job.command_offset,
        )

    async def _forget(self) -> None:
        """Take out the void images: groups and receipts first, since they count again without an image by itself."""
        rows: dict[str, set[int]] = {}
        groups: dict[str, KeptGroup] = {}
        for entry in self._void:
            for group in (*entry.receipts, *([entry.group] if entry.group is not None else [])):
                rows.setdefault(group.id, set()).add(entry.image.row)
                groups[group.id] = group
        await take_out(self._work, self._documents, rows, groups.values())
        items = [
            Conditional(images_index(self._work.prefix), entry.held.id, entry.held.seq, entry.held.term).delete()
            for entry in self._void
            if entry.held is not None
        ]
        for answer in await self._documents.send(self._work, items):
            if not answer.ok and answer.status not in (404, 409):
                raise CannotGoOnError(f"a before-image can't be taken out: {answer.error}")


def _left(entry: Entry, reason: str, job: str | None = None) -> Left:
    return Left(row=entry.image.row, document=entry.image.document, reason=reason, job=job)
