"""Write modes as datasets name them, as jobs ask for them, and as the control agent rolls such jobs back."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from control.creation.admission import creation_problem
from control.creation.kinds import BUILT_IN
from control.errors import Rejected
from control.jobtable import JobTable
from control.machine.context import Context
from control.machine.decision import decide
from control.machine.evolution import evolve_all
from csvfile.columns import Wanted, match_columns, wanted_by
from extensions.testing.wire import Wire
from ingest.inbox.records import RowMaker
from processor.elastic.bulk import BulkSink
from processor.operations.modes.decisions import Row, Rules
from processor.operations.modes.found import Found
from processor.operations.modes.images import ImageGroup, Receipt, read_image
from processor.operations.modes.receipts import created_by, number_of, without, written_in
from processor.operations.modes.retention import sweep_images
from processor.operations.modes.rows import check
from runtime.datasets import load_datasets
from schemas.descriptors.datasets import Dataset, DatasetError, parse_dataset
from schemas.descriptors.modes import MODES, Mode
from schemas.job import Job, LaneTotals, Options, Source, State
from schemas.messages.blocks import ABSENT, RowBlock, UndoBlock
from schemas.messages.commands import CreateJob, RollbackJob
from tests.support.in_memory.control import Catalog
from tests.support.in_memory.modes import THINGS, Things

TEAMS = load_datasets()["teams"]
CATALOG = Catalog(BUILT_IN, load_datasets())


def described(**own: Any) -> dict[str, Any]:
    return {"fields": [{"name": "key"}, {"name": "note"}], "primaryKey": "key", "sluice": own}


@pytest.mark.parametrize(
    ("descriptor", "told"),
    [
        (described(key_scope="world"), "'job' or 'organisation'"),
        ({**described(key_scope="organisation"), "primaryKey": []}, "there is none"),
        (described(modes=["upsert"]), "need a key that reaches the organisation"),
        (described(key_scope="organisation", modes=["merge"]), "a list of create, upsert"),
        (described(key_scope="organisation", modes=[]), "a list of create, upsert"),
        (described(key_scope="organisation", modes=["upsert"], mode="delete"), "sluice.mode is one of upsert"),
    ],
)
def test_a_descriptor_that_can_not_be_meant_is_refused(descriptor: dict[str, Any], told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        parse_dataset("things", descriptor)


def test_a_dataset_names_its_modes() -> None:
    plain = parse_dataset("things", described())
    assert (plain.key_scope, plain.mode, plain.modes) == ("job", "create", ("create",))
    every = parse_dataset("things", described(key_scope="organisation"))
    assert (every.mode, every.modes) == ("create", MODES)
    some = parse_dataset("things", described(key_scope="organisation", modes=["delete", "upsert"]))
    assert (some.mode, some.modes) == ("upsert", ("upsert", "delete"))
    assert (TEAMS.key_scope, TEAMS.mode) == ("organisation", "create")


@pytest.mark.parametrize(
    ("operation", "dataset", "options", "told"),
    [
        ("upload", "people", {"mode": "upsert"}, "needs a dataset whose key reaches the organisation"),
        ("teams", "teams", {"mode": "upsert"}, "takes create"),
        ("export", "people", {"mode": "create"}, "leave them out of export"),
        ("upload", "teams", {"mode": "replace", "empty": "clear"}, "in the modes upsert and update"),
        ("upload", "teams", {"empty": "clear"}, "in the modes upsert and update"),
        ("upload", "teams", {"mode": "upsert", "empty": "clear"}, None),
        ("upload", "people", {"mode": "create"}, None),
        ("teams", "teams", {"mode": "create"}, None),
    ],
)
def test_a_job_takes_the_modes_of_its_operation_and_dataset(
    operation: str, dataset: str, options: dict[str, Any], told: str | None
) -> None:
    source = Source(kind="query") if operation == "export" else Source(kind="topic")
    days = {"date_from": "2026-01-01"} if operation == "export" else {}
    command = CreateJob(
        job_id="j", operation=operation, dataset=dataset, source=source, options=Options(**options), **days
    )
    problem = creation_problem(command, CATALOG)
    assert (problem is None) == (told is None)
    assert problem is None or str(told) in problem.message


def test_files_may_leave_out_columns_where_documents_keep_their_values() -> None:
    for mode in MODES:
        match = match_columns(("team", "size"), TEAMS, wanted_by(Options(), mode))
        assert (match.problem is None) == (mode in ("upsert", "update", "delete")), mode
    assert match_columns(("size",), TEAMS, Wanted(key_only=True)).missing == ("team",)


def context(*others: Job) -> Context:
    return Context(9, 9, 2, CATALOG, lambda _: None, busy_or_queued=lambda: others)


def ended(mode: Any, **more: Any) -> Job:
    command = CreateJob(job_id="j", operation="upload", dataset="teams", options=Options(mode=mode))
    events = decide(None, command, context())
    assert not isinstance(events, Rejected)
    job = evolve_all(None, events, context())
    applied = LaneTotals(rows_applied=4, rows_updated=4, blocks=1, last_row=4)
    return replace(job, **{"state": State.COMPLETED, "applied": applied, "ended_at": 9, **more})


def test_a_job_that_gives_documents_back_takes_its_turn() -> None:
    """More of it is in tests/unit/control/test_restoring.py."""
    other = ended("create", id="other", state=State.RUNNING)
    refused = decide(ended("upsert"), RollbackJob(job_id="j"), context(other))
    assert isinstance(refused, Rejected) and refused.code == 409
    assert refused.details == {"job_id": "other"}
    assert not isinstance(decide(ended("create"), RollbackJob(job_id="j"), context(other)), Rejected)
    assert not isinstance(decide(ended("upsert"), RollbackJob(job_id="j"), context(replace(other, id="j"))), Rejected)
    # What is given back may have to go to images of a job that has created, and the other way round.
    giving = ended("upsert", id="other", state=State.ROLLING_BACK, phase="undo", run=1)
    beside = decide(ended("create"), RollbackJob(job_id="j"), context(giving))
    assert isinstance(beside, Rejected) and beside.details == {"job_id": "other"}


def test_force_follows_a_rollback_that_has_kept_something() -> None:
    kept = LaneTotals(rows_undone=3, rows_restored=3, rows_kept=1, blocks=1, last_row=4)
    job = ended("upsert", state=State.ROLLED_BACK, phase="undo", run=1, undone=kept)
    assert decide(job, RollbackJob(job_id="j"), context()) == ()
    events = decide(job, RollbackJob(job_id="j", force=True), context())
    assert not isinstance(events, Rejected)
    forced = evolve_all(job, events, context())
    assert (forced.state, forced.force, forced.run) == (State.ROLLING_BACK, True, 2)
    assert forced.undone == kept and forced.applied == job.applied
    whole = forced.undone.another_round(LaneTotals(rows_undone=1, rows_restored=1)) if forced.undone else None
    assert whole is not None and (whole.rows_restored, whole.rows_kept) == (4, 0)
    clean = replace(job, undone=replace(kept, rows_kept=0))
    assert decide(clean, RollbackJob(job_id="j", force=True), context()) == ()
    busy = decide(replace(job, state=State.ROLLING_BACK), RollbackJob(job_id="j", force=True), context())
    assert isinstance(busy, Rejected) and "without force" in busy.message


def test_another_program_may_write_documents_in_any_form() -> None:
    rules = Rules("upsert", "j", "acme")
    row = Row(0, 1, "acme:0", ("key",), ("a",), {"key": "a", "note": "x"})
    for text in (
        b'{"key": "a",\n "note": "y", "sluice": 17}',
        b'{"note": "y"}',
        b'{"key": "a", "note": "y", "sluice": {"job_id": 3}}',
    ):
        found = Found(msgspec.Raw(text), 3, 1)
        decision = rules.decide(row, found)
        assert decision.kind == "update" and decision.line is not None
        assert b"\n" not in found.raw


def test_a_receipt_stands_for_its_rows() -> None:
    ids, digests = [f"acme:{number:032x}" for number in (1, 2)], ["0a" * 12, "0b" * 12]
    receipt = Receipt(
        job_id="j",
        first_row=3,
        last_row=9,
        order=7,
        rows=[3, 9],
        written=written_in(ids, digests),
        created=[number_of(it) for it in ids],
    )
    images = created_by(receipt, "acme")
    assert [(image.row, image.document, image.after, image.previous) for image in images] == [
        (3, ids[0], digests[0], None),
        (9, ids[1], digests[1], None),
    ]
    assert read_image(msgspec.json.encode(receipt)) == receipt
    left = without(receipt, {3})
    assert (left.created, created_by(left, "acme")) == ([number_of(it) for it in ids[1:]], images[1:])


def test_a_row_of_the_inbox_tells_absent_fields_from_empty_ones() -> None:
    maker = RowMaker(("key", "note"), {"note": "\0"})
    assert maker.texts({"key": "a"})[0] == ["a", "\0"]
    assert maker.texts({"key": "a", "note": None})[0] == ["a", ""]


def test_the_key_of_a_dataset_can_be_set_for_all_rows() -> None:
    dataset: Dataset = TEAMS
    assert match_columns(("size",), dataset, Wanted(constants={"team": "One"}, key_only=True)).problem is None


def counts_of(result: Any) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "deleted", "failed")
    return {name: sum(getattr(outcome, name) for outcome in result.outcomes) for name in names}


def test_nothing_is_written_for_rows_that_change_nothing() -> None:
    things = Things()
    for key in ("a", "b"):
        things.edit(key, {"key": key, "size": 1, "note": None})
    ran = things.start("j", "upsert", [{"key": "a", "size": "1"}, {"key": "b", "size": ""}])
    wire = Wire()
    result = things.apply(ran, things.blocks(ran), wire)
    assert counts_of(result) == {"created": 0, "updated": 0, "unchanged": 2, "deleted": 0, "failed": 0}
    assert wire.items == 0, "neither a document nor a before-image"


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
@pytest.mark.parametrize("sizes", [("1", "2", "3"), ("2", "1", "3"), ("2", "3", "1")])
def test_a_row_that_says_what_was_there_changes_nothing_wherever_it_stands(
    sizes: tuple[str, ...], together: bool, dry_run: bool
) -> None:
    """Of the others with its key one is written, and the second one is refused."""
    things = Things()
    things.edit("a", {"key": "a", "size": 1, "note": None})
    rows = [{"key": "a", "size": size} for size in sizes]
    ran = things.start("j", "upsert", rows, dry_run=dry_run)
    blocks = things.blocks(ran, size=1)
    results = [things.apply(ran, some) for some in ([blocks] if together else [[block] for block in blocks])]
    assert all(results)
    found = [counts_of(result) for result in results]
    totals = {name: sum(counts[name] for counts in found) for name in found[0]}
    assert totals == {"created": 0, "updated": 1, "unchanged": 1, "deleted": 0, "failed": 1}
    reasons = [error.reason for result in results if result for error in result.errors]
    written = min(number for number, size in enumerate(sizes, start=1) if size != "1")
    assert reasons == [f"key 'a' is in row {written} of the file already"]
    assert things.documents()["a"]["size"] == (1 if dry_run else 2)


@pytest.mark.parametrize("mode", ["upsert", "replace", "update", "delete"])
def test_what_another_program_does_meanwhile_is_written_over_and_comes_back(mode: Mode) -> None:
    """It changes, makes and deletes documents behind the worker's back: no search sees it yet."""
    things = Things()
    for key in "abcd":
        things.edit(key, {"key": key, "size": 1, "note": "first"})
    rows = [{"key": key, "size": "2"} for key in "abcde"]
    ran = things.start("j", mode, rows)
    blocks = things.blocks(ran, size=1)
    assert things.apply(ran, blocks[:1])
    before = {"key": "b", "size": 5, "note": "meanwhile"}
    things.edit("b", before)
    things.edit("c", None)
    things.edit("e", {"key": "e", "size": 5, "note": None})
    first = {**things.documents(), "a": {"key": "a", "size": 1, "note": "first"}}
    result = things.apply(ran, blocks[1:])
    counts = counts_of(result)
    assert counts["failed"] == (0 if mode in ("upsert", "replace") else 1), "c is gone"
    assert counts["created"] == (1 if mode in ("upsert", "replace") else 0)
    assert counts["deleted" if mode == "delete" else "updated"] == 3
    if mode in ("upsert", "update"):
        assert things.documents()["b"]["note"] == "meanwhile"
    undone = things.undo(ran)
    assert undone and sum(outcome.restored for outcome in undone.outcomes) == 5 - counts["failed"]
    assert things.documents() == first
    assert things.left_over(ran) == (0, 0)


def test_a_repeat_does_not_take_an_older_document_for_what_was_there_before() -> None:
    """The first try has kept what another program wrote meanwhile; the repeat's search does not see that."""
    things = Things()
    things.edit("a", {"key": "a", "size": 1, "note": None})
    things.edit("b", {"key": "b", "size": 1, "note": None})
    ran = things.start("j", "upsert", [{"key": "b", "size": "2"}, {"key": "a", "size": "2"}])
    one, two = things.blocks(ran, size=1)
    assert things.apply(ran, [one])
    things.edit("a", {"key": "a", "size": 7, "note": "meanwhile"})
    assert things.apply(ran, [two])
    assert things.apply(ran, [two])
    assert things.undo(ran)
    assert things.documents()["a"] == {"key": "a", "size": 7, "note": "meanwhile"}


def images_of(things: Things) -> list[Any]:
    return [read_image(msgspec.json.encode(it)) for it in things.store.client.contents()["trial-images"].values()]


def groups_of(things: Things) -> dict[int, int]:
    """First row -> how many images there are, of each group that has any."""
    return {it.first_row: it.entries for it in images_of(things) if isinstance(it, ImageGroup) and it.entries}


def test_of_two_rows_with_a_key_that_two_workers_have_at_once_one_counts() -> None:
    things = Things()
    things.edit("a", {"key": "a", "size": 1, "note": None})
    ran = things.start("j", "upsert", [{"key": "a", "size": "2"}, {"key": "a", "size": "3"}])
    work = things.work(ran.job)

    async def at_once() -> list[Any]:
        return await asyncio.gather(*[things.operation.apply(work, [block]) for block in things.blocks(ran, size=1)])

    results = asyncio.run(at_once())
    assert sorted(result.outcomes[0].updated for result in results) == [0, 1]
    (error,) = [error for result in results for error in result.errors]
    assert f"is in row {3 - error.row} of the file already" in error.reason
    assert groups_of(things) == {3 - error.row: 1}, "the other row has nothing to give back"
    assert things.undo(ran) and things.left_over(ran) == (0, 0)
    assert things.documents() == {"a": {"key": "a", "size": 1, "note": None}}


def test_the_image_of_a_row_that_was_overtaken_after_a_crash_goes() -> None:
    things = Things()
    things.edit("a", {"key": "a", "size": 1, "note": None})
    ran = things.start("j", "upsert", [{"key": "a", "size": "2"}, {"key": "a", "size": "3"}])
    one, two = things.blocks(ran, size=1)
    assert things.apply(ran, [two], Wire(dies_after=1)) is None
    assert groups_of(things) == {2: 1} and things.documents()["a"]["size"] == 1
    assert things.apply(ran, [one])
    assert counts_of(things.apply(ran, [two]))["failed"] == 1
    assert groups_of(things) == {1: 1}
    undone = things.undo(ran)
    assert undone and sum(outcome.restored for outcome in undone.outcomes) == 1
    assert things.left_over(ran) == (0, 0)


def test_images_go_from_their_group_as_their_rows_are_restored() -> None:
    things = Things()
    keys = [f"key-{number:03}" for number in range(250)]
    for key in keys:
        things.edit(key, {"key": key, "size": 1, "note": None})
    before = things.documents()
    ran = things.start("j", "replace", [{"key": key, "size": "2"} for key in keys])
    assert things.apply(ran, things.blocks(ran, size=250))
    assert groups_of(things) == {1: 100, 101: 100, 201: 50}
    job = things.undoing(ran, force=False)
    for block, (first, last), left in (
        (0, (1, 130), {131: 70, 201: 50}),
        (1, (131, 210), {211: 40}),
        (2, (211, 250), {}),
    ):
        undo = UndoBlock(job_id="j", block=block, first_row=first, last_row=last, run=job.run)
        # The one after the first begins with what a search has seen before it.
        (outcome,) = asyncio.run(things.operation.undo(things.work(job), [undo])).outcomes
        assert outcome.restored == last - first + 1
        assert groups_of(things) == left
    assert things.documents() == before


def test_a_job_that_an_older_version_has_begun_keeps_an_image_a_row() -> None:
    things = Things()
    things.edit("a", {"key": "a", "size": 1, "note": None})
    ran = things.start("j", "upsert", [{"key": "a", "size": "2"}], grouped=False)
    assert things.apply(ran, things.blocks(ran))
    assert groups_of(things) == {} and [it.row for it in images_of(things)] == [1]


def test_receipts_lose_the_rows_that_a_rollback_takes_out() -> None:
    things = Things()
    ran = things.start("j", "create", [{"key": key, "size": "1"} for key in "abcd"])
    assert things.apply(ran, things.blocks(ran, size=4))
    job = things.undoing(ran, force=False)
    for block, (first, last), left in ((0, (1, 3), [[4]]), (0, (1, 3), [[4]]), (1, (4, 4), [])):
        undo = UndoBlock(job_id="j", block=block, first_row=first, last_row=last, run=job.run)
        (outcome,) = asyncio.run(things.operation.undo(things.work(job), [undo])).outcomes
        assert outcome.restored == last - first + 1
        receipts = [it for it in images_of(things) if isinstance(it, Receipt)]
        assert [it.rows for it in receipts] == [[row.row for row in created_by(it, "acme")] for it in receipts] == left
    assert things.documents() == {} and things.left_over(ran) == (0, 0)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("forgotten", ["above", "both", "beneath", "none"])
@pytest.mark.parametrize("above", MODES)
@pytest.mark.parametrize("mode", MODES)
def test_every_row_is_given_back_or_kept_whichever_other_jobs_are_purged(
    mode: Mode, above: Mode, forgotten: str, force: bool
) -> None:
    """Another job has made or changed documents beneath, one on top."""
    things = Things()
    if mode != "create":
        below = things.start("below", "create", [{"key": key, "size": "1"} for key in "abcd"])
        assert things.apply(below, things.blocks(below))
    ran = things.start("j", mode, [{"key": key, "size": "2"} for key in "abcd"])
    written = counts_of(things.apply(ran, things.blocks(ran)))
    later = things.start("later", above, [{"key": key, "size": "3"} for key in "bcx"])
    assert things.apply(later, things.blocks(later))
    marks = {key: it["sluice"]["job_id"] for key, it in things.documents().items() if "sluice" in it}
    for purged in {"above": ["later"], "both": ["later", "below"], "beneath": ["below"], "none": []}[forgotten]:
        images = things.store.client._indices["trial-images"].documents
        for key in [key for key, it in images.items() if it.source["job_id"] == purged]:
            del images[key]
    undone = things.undo(ran, force=force)
    assert undone is not None
    told = sum(outcome.restored + outcome.kept + outcome.not_restored for outcome in undone.outcomes)
    assert told == sum(written[name] for name in ("created", "updated", "deleted"))
    assert things.left_over(ran, force) == (0, 0)
    if not force:
        kept = {key: it["sluice"]["job_id"] for key, it in things.documents().items() if it["sluice"]["job_id"] != "j"}
        assert {key: job for key, job in marks.items() if job != "j"}.items() <= kept.items()


OTHERS = {"key": "a", "size": 7, "note": "of another program"}


def of_another_job(things: Things, mode: Mode, purged: bool = False) -> None:
    """Another job writes the document of the key `a`."""
    other = things.start(f"{mode}-{purged}", mode, [{"key": "a", "size": "5"}])
    result = things.apply(other, things.blocks(other))
    assert result is not None and result.outcomes[0].applied == 1
    if purged:
        images = things.store.client._indices["trial-images"].documents
        for key in [key for key, it in images.items() if it.source["job_id"] == other.job.id]:
            del images[key]


@pytest.mark.parametrize("dies_after", range(1, 6))
@pytest.mark.parametrize("then", ["nothing", "upsert", "upsert purged", "edit", "made anew"])
@pytest.mark.parametrize("there", ["another program's", "another job's", "a purged job's"])
def test_no_force_takes_out_what_a_refused_row_has_met(there: str, then: str, dies_after: int) -> None:
    """The worker dies before it can correct the receipt, and the job is terminated: only the receipt names the row."""
    things = Things()
    if there == "another program's":
        things.edit("a", OTHERS)
    else:
        of_another_job(things, "create", purged="purged" in there)
    ran = things.start("j", "create", [{"key": "a", "size": "1"}, {"key": "b", "size": "2"}])
    things.apply(ran, things.blocks(ran), Wire(dies_after=dies_after))
    things.sink = None
    match then:
        case "upsert" | "upsert purged":
            of_another_job(things, "replace", purged="purged" in then)
        case "edit":
            things.edit("a", {**things.documents()["a"], "note": "edited"})
        case "made anew":
            things.edit("a", None)
            of_another_job(things, "upsert")
    theirs = things.documents()["a"]
    for force in (False, True, True):
        assert things.undo(ran, force=force) and things.left_over(ran, force) == (0, 0)
        assert things.documents() == {"a": theirs}
        ran.job = replace(ran.job, undone=LaneTotals(rows_restored=1, rows_kept=1))


@pytest.mark.parametrize("mode", ["create", "upsert"])
@pytest.mark.parametrize("then", ["edit", "upsert", "upsert and edit"])
def test_force_takes_out_what_the_job_has_made_though_others_have_changed_it(mode: Mode, then: str) -> None:
    things = Things()
    ran = things.start("j", mode, [{"key": "a", "size": "1"}, {"key": "b", "size": "2"}])
    assert things.apply(ran, things.blocks(ran))
    if "upsert" in then:
        of_another_job(things, "upsert")
    if "edit" in then:
        things.edit("a", {**things.documents()["a"], "note": "edited"})
    for force, left in ((False, {"a"}), (True, set())):
        assert things.undo(ran, force=force) and things.left_over(ran, force) == (0, 0)
        assert things.documents().keys() == left
        ran.job = replace(ran.job, undone=LaneTotals(rows_restored=1, rows_kept=1))


@pytest.mark.parametrize("mode", ["create", "upsert"])
def test_datasets_with_the_same_keys_do_not_get_each_other_s_documents(mode: Mode) -> None:
    """Ids are made of the organisation and the key: those of two datasets may be the same."""
    clubs = Things()
    teams = Things(dataset=dataclasses.replace(THINGS, name="teams"), store=clubs.store, time=100)
    club = {"key": "7", "size": 1, "note": "club"}
    clubs.edit("7", club)
    gone = clubs.start("gone", "delete", [{"key": "7"}])
    assert clubs.apply(gone, clubs.blocks(gone))
    made = teams.start("made", mode, [{"key": "7", "size": "3"}])
    assert teams.apply(made, teams.blocks(made))
    undone = clubs.undo(gone)
    assert undone and undone.outcomes[0].restored == 1
    assert clubs.documents() == {"7": club}
    assert teams.undo(made)
    assert teams.documents() == {}


def test_images_of_jobs_that_ended_long_ago_go() -> None:
    things = Things()
    for name in ("old", "new", "gone", "coming"):
        ran = things.start(name, "upsert", [{"key": name, "size": "1"}])
        things.apply(ran, things.blocks(ran))
    jobs = JobTable()
    for name, ended_at in (("old", 5), ("new", 500)):
        state = {"state": State.COMPLETED, "ended_at": ended_at, "command_offset": 35}
        jobs.put(replace(things.jobs[name].job, **state))
    sink = BulkSink(things.store.client)  # type: ignore[arg-type]
    asyncio.run(things.store.client.indices.refresh(index="trial-images"))
    deleted = asyncio.run(sweep_images(sink, things.store.prefix, jobs, lambda: None, 100))
    kept = things.store.client.contents()["trial-images"]
    # The control table is beyond the state in which `gone` wrote, and not yet where `coming` is.
    assert deleted == 2 and {image["job_id"] for image in kept.values()} == {"new", "coming"}


@pytest.mark.parametrize("empty", ["keep", "clear"])
def test_a_row_of_the_inbox_changes_the_fields_that_it_has(empty: str) -> None:
    things = Things()
    things.edit("a", {"key": "a", "size": 1, "note": "x"})
    things.edit("b", {"key": "b", "size": 2, "note": "y"})
    ran = things.start("j", "update", [{"key": "a"}, {"key": "b"}, {"key": "c"}], empty=empty)
    ran.job = replace(ran.job, source=Source(kind="topic"))
    rows = [["a", ABSENT, ""], ["b", "", ABSENT], ["c", "3", ABSENT]]
    block = RowBlock(job_id="j", block=0, first_row=1, columns=["key", "size", "note"], rows=rows)
    result = things.apply(ran, [block])
    assert result is not None
    reasons = {error.row: error.reason for error in result.errors}
    found = {key: (it["size"], it["note"]) for key, it in things.documents().items()}
    if empty == "keep":
        assert reasons == {3: "key 'c' does not exist"} and result.outcomes[0].unchanged == 2
        assert found == {"a": (1, "x"), "b": (2, "y")}
    else:
        assert reasons == {2: "size is required, but empty", 3: "key 'c' does not exist"}
        assert found == {"a": (1, None), "b": (2, "y")}
    assert all(ABSENT not in "".join(error.values) for error in result.errors)


@pytest.mark.parametrize("mode", ["create", "replace", "upsert", "update"])
def test_a_value_that_is_too_long_for_the_organisation_is_refused_in_every_mode(mode: Mode) -> None:
    things = Things()
    work = dataclasses.replace(things.work(things.start("j", mode, [{"key": "a"}]).job), most_characters=5)
    block = RowBlock(
        job_id="j",
        block=0,
        first_row=1,
        columns=["key", "size", "note"],
        rows=[["a", "1", "much longer"], ["b", "1", "x"]],
    )
    rows, _ = check(work, block)
    assert ([error.row for error in rows.errors], [row["key"] for row in rows.named]) == ([1], ["b"])


def test_a_text_of_nul_alone_is_not_taken_for_a_field_that_is_left_out() -> None:
    maker = RowMaker(["key", "note"], {"note": ABSENT})
    assert maker.texts({"key": "a"}) == (["a", ABSENT], None)
    texts, problem = maker.texts({"key": "a", "note": ABSENT})
    assert (texts, problem) == (
        ["a", ""],
        "column 'note': a text of NUL alone can't be a value; leave the field out, or send null",
    )
    assert RowMaker(["key", "note"]).texts({"key": "a", "note": ABSENT}) == (("a", ABSENT), None)
