"""Gives back what a job wrote over, row by row, as blocks of a rollback. See decision 0034.

The steps of a batch, or of each portion of it (decision 0098), and what a crash after each leaves:

1. The images of its rows are read, the documents, and where one is not as the job left it the images of later jobs.
2. Before-images go to the images of jobs that have written over a document since. A repeat finds that they have them.
3. Documents become what they were, on the condition that they are as they were read. A repeat finds them so.
4. What became of each row is recorded, under an id of the block. A repeat adds to it.
5. The images of documents that are restored go, and their rows from receipts. A row without an image counts as it is
   recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

from processor.elastic.conditional import Conditional
from processor.operations.modes.found import Documents, Found, mark_of
from processor.operations.modes.images import Image, images_index
from processor.operations.modes.rollback.entries import Entries, Entry
from processor.operations.modes.rollback.later import LaterImages
from processor.operations.modes.rollback.outcomes import undone_index
from processor.operations.modes.rollback.recording import Recording
from processor.operations.modes.rollback.verdicts import RESTORE, Verdict, judge, plain
from processor.operations.work import Work
from processor.outcome import Outcome
from schemas.messages.blocks import UndoBlock

ROUNDS = 10
"""How often the worker judges a document again that others keep changing."""


_Now = tuple[Entry, Found | None, bytes | None, bool]
"""An entry, its document as it is now, the document's content, and whether it is as the job has left it."""


class Undoer:
    """Undoes blocks of one job."""

    def __init__(self, work: Work, documents: Documents) -> None:
        self._work = work
        self._documents = documents
        self._entries = Entries(work, documents)
        self._later = LaterImages(work, documents)
        self._images = images_index(work.prefix)
        self._undone = undone_index(work.prefix)

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
        work = self._work
        now = await self._now(entries, first)
        others = [found for found in now if not found[3]]
        refused = await self._refused([(entry, raw) for entry, _, raw, _ in others])
        recording.untouched(found[0] for found in now if found[0].image.row in refused)
        now = [found for found in now if found[0].image.row not in refused]
        changed = [(entry.image, raw) for entry, _, raw, as_left in now if not as_left]
        # If a later job has made a document again that this job took out, its mark says so, or else that job's receipt.
        anew = [it.document for it, raw in changed if it.after is None and (raw is None or not mark_of(raw).job_id)]
        later = await self._later.of([image for image, _ in changed], again=repeated, created=anew)
        items: list[bytes] = []
        doing: list[tuple[Entry, bool]] = []
        again: list[Entry] = []
        verdicts = [
            RESTORE
            if as_left
            else judge(entry.image, raw, later.get(entry.image.document, ()), work.job.force, entry.imaged)
            for entry, _, raw, as_left in now
        ]
        given = await self._later.give(verdicts)
        for (entry, there, _, _), verdict, taken in zip(now, verdicts, given, strict=True):
            if entry.reason:
                recording.failed(entry, entry.reason)
                continue
            if not taken:
                again.append(entry)
                continue
            if verdict.kind == "kept":
                recording.kept(entry, verdict)
                continue
            item = self._item(entry.image, there, verdict)
            if item is None:
                recording.restored(entry)
            else:
                items.append(item)
                doing.append((entry, there is not None and there.seq == entry.image.seq))
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

    async def _now(self, entries: Sequence[Entry], first: bool) -> list[_Now]:
        """The documents as they are.

        At `first` those that a search sees as the job has left them are not asked for once more: if one has changed
        since, it is not written, and judged again.
        """
        work, ids = self._work, [entry.image.document for entry in entries]
        read = self._documents.seen if first else self._documents.get
        found = [
            _now(entry, there) for entry, there in zip(entries, await read(work, work.data_index, ids), strict=True)
        ]
        if first:
            self._documents.note(work, len(found), sum(len(raw or b"") for _, _, raw, _ in found))
            unsure = [at for at, (_, _, _, as_left) in enumerate(found) if not as_left]
            there_now = await self._documents.get(work, work.data_index, [ids[at] for at in unsure])
            for at, there in zip(unsure, there_now, strict=True):
                found[at] = _now(entries[at], there)
        return found

    async def _refused(self, found: Sequence[tuple[Entry, bytes | None]]) -> set[int]:
        """Rows of receipts and groups that were refused, as their key was taken, where a worker could not correct the
        receipt or the group; of those whose documents are not as the job has left them.

        What is under the key was written by another row of the job, or by a job that was at work before it.
        """
        marks = {entry.image.row: mark_of(raw) for entry, raw in found if entry.held is None and raw is not None}
        marks = {row: mark for row, mark in marks.items() if mark.job_id}
        own, order = self._work.job.id, {entry.image.row: entry.image.order for entry, _ in found}
        grouped = {entry.image.row for entry, _ in found if entry.group is not None}
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


def _now(entry: Entry, there: Found | None) -> _Now:
    raw = there.raw if there is not None else None
    return entry, there, raw, plain(entry.image, raw)
