"""A dry run of rows in a write mode: what each would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from processor.elastic.documents import bulk_item, document_lines
from processor.operations import keyed
from processor.operations.dry_run_keys import make_claims_index
from processor.operations.dry_run_preview import SHOWN_ROWS, WITHIN_ROWS, preview_item
from processor.operations.modes.changes import KINDS, change_of, changes_index
from processor.operations.modes.decisions import Decision, Row, Rules, changed_fields
from processor.operations.modes.found import Documents, Found
from processor.operations.modes.rows import named_key
from processor.operations.modes.writing import Written
from processor.operations.work import Work
from schemas.indices import index_name

_APPLIED = {"create": "created", "update": "updated", "delete": "deleted", "unchanged": "unchanged"}

Tried = tuple[int, Row, Found | None, Decision]


async def try_rows(
    work: Work, documents: Documents, rules: Rules, rows: Sequence[Row], reports: Sequence[bytes]
) -> Written:
    """What would become of these rows; recorded with the bulk items of `reports`. Raises as `BulkSink.send`."""
    done = Written()
    seen = work.job.source.kind != "topic"
    shown: dict[int, int] = {}
    at = 0
    while at < len(rows) or reports:
        some = rows[at : at + documents.rows_at_once(work)]
        found = await documents.of_rows(work, [row.document for row in some], seen=seen)
        triples = [(at + place, row, there) for place, (row, there) in enumerate(zip(some, found, strict=False))]
        await _try_some(work, rules, triples, reports, done, shown)
        at, reports = at + len(found), ()
    return done


async def _try_some(
    work: Work,
    rules: Rules,
    rows: Sequence[tuple[int, Row, Found | None]],
    reports: Sequence[bytes],
    done: Written,
    shown: dict[int, int],
) -> None:
    """As `try_rows`, of rows with their indices and documents. `shown`: place of a block -> its rows that are shown."""
    tried: list[Tried] = []
    for at, row, there in rows:
        decision = rules.decide(row, there)
        if decision.kind == "refused":
            done.refused[at] = decision
        else:
            tried.append((at, row, there, decision))
    # As when they are written, rows that change nothing need no key of their own.
    changing = await _claimed(work, [one for one in tried if one[3].kind in KINDS], done)
    tried = sorted([*changing, *(one for one in tried if one[3].kind not in KINDS)], key=lambda one: one[0])
    for at, _, _, decision in tried:
        done.kinds[at] = _APPLIED[decision.kind]
    index = changes_index(work.prefix)
    items = [
        bulk_item("index", index, f"{work.job.id}:{row.number}", _change(work, row, there, decision))
        for _, row, there, decision in tried
        if decision.kind in KINDS
    ]
    await work.send([*reports, *items, *_previews(work, tried, shown)])


async def _claimed(work: Work, tried: Sequence[Tried], done: Written) -> list[Tried]:
    """The rows whose key no other row of the file has; refuses the others."""
    if not tried:
        return []
    index, job = await make_claims_index(work), work.job
    keys = keyed.Keys(
        [row.document for _, row, _, _ in tried],
        [row.number for _, row, _, _ in tried],
        work.dataset.primary_key,
        [row.key for _, row, _, _ in tried],
    )
    lines = document_lines(job.id, job.organisation, (), keys.numbers, [], keys.ids)
    answers = await work.sink.send(lines, work.gate, index) if lines else []
    left = []
    for one, answer in zip(tried, await keyed.judge(work, index, keys, answers), strict=True):
        if answer.ok:
            left.append(one)
        else:
            done.refused[one[0]] = Decision("refused", reason=answer.error, taken=True)
    return left


def _change(work: Work, row: Row, found: Found | None, decision: Decision) -> object:
    fields = changed_fields(found.raw if found is not None else None, decision.line)
    job = work.job
    return change_of(job.id, job.command_offset, row.number, decision.kind, named_key(work, row.values), fields)


def _previews(work: Work, tried: Sequence[Tried], shown: dict[int, int]) -> list[bytes]:
    """The first rows of each early block, as they would be stored; counts them in `shown`."""
    index, job = index_name(work.prefix, "previews"), work.job
    items = []
    for _, row, found, decision in tried:
        line = found.raw if decision.kind == "unchanged" and found is not None else decision.line
        if line is None or row.number > WITHIN_ROWS or shown.get(row.place, 0) >= SHOWN_ROWS:
            continue
        shown[row.place] = shown.get(row.place, 0) + 1
        items.append(preview_item(job, index, row.number, line))
    return items
