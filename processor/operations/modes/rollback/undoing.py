"""Gives back what a job wrote over, row by row, as blocks of a rollback. See decision 0034.

The steps of a batch, or of each portion of it (decision 0095), and what a crash after each leaves:

1. The images of its rows are read, the documents, and where one is not as the job left it the images of later jobs.
2. Before-images go to the images of jobs that have written over a document since. A repeat finds that they have them.
3. Documents become what they were, on the condition that they are as they were read. A repeat finds them so.
4. What became of each row is recorded, under an id of the block. A repeat adds to it.
5. The images of documents that are restored go, and their rows from receipts. A row without an image counts as it is
   recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from processor.elastic.conditional import Conditional
from processor.operations.modes.found import Documents, Found, mark_of
from processor.operations.modes.images import Image
from processor.operations.modes.rollback.entries import Entries, Entry
from processor.operations.modes.rollback.later import LaterImages
from processor.operations.modes.rollback.recording import Recording
from processor.operations.modes.rollback.verdicts import RESTORE, is_unchanged, judge
from processor.operations.work import Work
from processor.outcome import Outcome
from schemas.messages.blocks import UndoBlock

ROUNDS = 10
"""How often the worker judges a document again that others keep changing."""


class Current(NamedTuple):
    """An entry, and its document as it is by now."""

    entry: Entry
    found: Found | None
    content: bytes | None
    """None: the document is not there."""
    unchanged: bool
    """It is as the job has left it."""

    @property
    def row(self) -> int:
        return self.entry.image.row

    @property
    def image(self) -> Image:
        return self.entry.image


class Undoer:
    """Undoes blocks of one job."""

    def __init__(self, work: Work, documents: Documents) -> None:
        self._work = work
        self._documents = documents
        self._entries = Entries(work, documents)
        self._later = LaterImages(work, documents)

    async def undo(self, blocks: Sequence[UndoBlock]) -> list[Outcome]:
        """Undo blocks; an outcome for each. Raises as `BulkSink.send`."""
        recorded = await self._entries.recorded(blocks)
        done = await self._entries.restored_before(blocks, recorded.values())
        recording = Recording(self._work, self._documents, recorded)
        repeated = bool(recorded)
        async for portion in self._entries.portions(blocks, repeated):
            found = portion.entries
            # A row of a receipt that was restored is not judged again: another job may have made the document anew.
            left = [entry for entry in found if entry.imaged or entry.image.row not in done]
            recording.untouched(entry for entry in found if not entry.imaged and entry.image.row in done)
            for number in range(ROUNDS):
                left = await self._round(left, recording, first=number == 0, repeated=number > 0 or repeated)
                if not left:
                    break
            for entry in left:
                recording.failed(entry, "others change it again and again")
            await recording.settle(portion.blocks)
        return [recording.outcome(block) for block in blocks]

    # -- giving back -------------------------------------------------------------------------------------------------

    async def _round(self, entries: Sequence[Entry], recording: Recording, first: bool, repeated: bool) -> list[Entry]:
        """Judge these, and do it; answers those that have changed meanwhile.

        `first`: they were not judged before in this batch. `repeated`: they were, in this one or in an earlier try.
        """
        current = await self._current(entries, first)
        refused = await self._refused([it for it in current if not it.unchanged])
        recording.untouched(it.entry for it in current if it.row in refused)
        current = [it for it in current if it.row not in refused]
        changed = [it for it in current if not it.unchanged]
        later = await self._later.of([it.image for it in changed], again=repeated, created=_made_anew(changed))
        taken_back = await self._entries.taken_back([it.image for it in changed if it.content is None])
        items: list[bytes] = []
        doing: list[tuple[Entry, bool]] = []
        again: list[Entry] = []
        force = self._work.job.force
        verdicts = [
            RESTORE
            if it.unchanged
            else judge(
                it.image,
                it.content,
                later.get(it.image.document, ()),
                force,
                it.entry.imaged,
                it.image.document in taken_back,
            )
            for it in current
        ]
        given = await self._later.give(verdicts)
        for it, verdict, taken in zip(current, verdicts, given, strict=True):
            entry = it.entry
            if entry.reason:
                recording.failed(entry, entry.reason)
                continue
            if not taken:
                again.append(entry)
                continue
            if verdict.kind == "kept":
                recording.kept(entry, verdict)
                continue
            item = self._item(it) if verdict.kind == "restore" or it.found is not None else None
            if item is None:
                recording.restored(entry)
            else:
                items.append(item)
                doing.append((entry, it.found is not None and it.found.seq == entry.image.seq))
        for (entry, untouched), answer in zip(doing, await self._documents.send(self._work, items), strict=True):
            if answer.ok and untouched:
                recording.untouched([entry])
            elif answer.ok:
                recording.restored(entry)
            elif answer.status in (404, 409):
                again.append(entry)
            else:
                recording.failed(entry, f"Elasticsearch refuses it: {answer.error[:500]}")
        return again

    async def _current(self, entries: Sequence[Entry], first: bool) -> list[Current]:
        """The documents as they are.

        At `first` those that a search sees as the job has left them are not asked for once more: if one has changed
        since, it is not written, and judged again.
        """
        work, ids = self._work, [entry.image.document for entry in entries]
        read = self._documents.seen if first else self._documents.get
        found = await read(work, work.data_index, ids)
        current = [_current(entry, there) for entry, there in zip(entries, found, strict=True)]
        if first:
            self._documents.note(work, len(current), sum(len(it.content or b"") for it in current))
            unsure = [at for at, it in enumerate(current) if not it.unchanged]
            by_id = await self._documents.get(work, work.data_index, [ids[at] for at in unsure])
            for at, there in zip(unsure, by_id, strict=True):
                current[at] = _current(entries[at], there)
        return current

    async def _refused(self, changed: Sequence[Current]) -> set[int]:
        """Rows of receipts and groups that were refused, as their key was taken, where a worker could not correct the
        receipt or the group; of those whose documents are not as the job has left them.

        What is under the key was written by another row of the job, or by a job that was at work before it.
        """
        marks = {it.row: mark_of(it.content) for it in changed if it.entry.held is None and it.content is not None}
        marks = {row: mark for row, mark in marks.items() if mark.job_id}
        own, order = self._work.job.id, {it.row: it.image.order for it in changed}
        grouped = {it.row for it in changed if it.entry.group is not None}
        strange = {mark.job_id for row, mark in marks.items() if row not in grouped} - {own}
        orders = await self._later.orders_of(strange)
        return {
            row
            for row, mark in marks.items()
            if (
                mark.row_number != row
                if mark.job_id == own
                # Of a job that has no images any more nobody knows when it wrote: the row may be beneath it.
                else row not in grouped and orders.get(mark.job_id, order[row]) < order[row]
            )
        }

    def _item(self, current: Current) -> bytes | None:
        """The bulk item that makes a document what it was; None: nothing has to be done."""
        index, document, before = self._work.data_index, current.image.document, current.image.previous
        if current.found is None:
            return Conditional(index, document).write(before) if before is not None else None
        target = Conditional(index, document, current.found.seq, current.found.term)
        if before is None:
            return target.delete()
        # Also where it is that already: a write of the job that is still on its way finds another sequence number.
        return target.write(before)


def _current(entry: Entry, found: Found | None) -> Current:
    content = found.raw if found is not None else None
    return Current(entry, found, content, is_unchanged(entry.image, content))


def _made_anew(changed: Iterable[Current]) -> list[str]:
    """The documents that the job took out, and of which no mark says if a later job has made them again: then that
    job's receipt does."""
    return [
        it.image.document
        for it in changed
        if it.image.after is None and (it.content is None or not mark_of(it.content).job_id)
    ]
