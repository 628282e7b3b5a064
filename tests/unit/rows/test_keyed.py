"""Keys: ids that tell them apart, and what a document that is there already means for a row."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from processor.operations.keyed import key_id
from processor.operations.teams import Teams
from processor.operations.upload import Upload
from processor.operations.work import Result, Work
from processor.outcome import Outcome
from schemas.descriptors.datasets import Dataset, Field
from schemas.job import State
from schemas.messages.blocks import RowBlock
from tests.support.in_memory.control import world_in
from tests.support.stubs.bulk import StubClient, answers, run, sink

DATASET = Dataset("pets", (Field("name", required=True), Field("age", "integer")), primary_key=("name",))
BLOCK = RowBlock(
    job_id="j1", block=0, first_row=1, first_line=2, columns=["age", "name"], rows=[["3", "Rex"], ["4", "Tom"]]
)


class Known(StubClient):
    """Elasticsearch with documents that it is asked for by their ids."""

    def __init__(self, script: Any = (), **owners: Any) -> None:
        super().__init__(list(script))
        self.owners = owners

    async def mget(self, *, index: str, ids: list[str], source_includes: str) -> Any:
        names = {key_id(scope, [name]): name for scope in ("j1", "acme") for name in ("Rex", "Tom")}
        found = [self.owners.get(names[wanted]) for wanted in ids]
        docs = [{"found": owner is not None, "_source": {"sluice": owner}} for owner in found]
        return type("Response", (), {"body": {"docs": docs}})()


def apply(client: StubClient, operation: Upload) -> Result:
    job = replace(world_in(State.RUNNING).job(), organisation="acme")
    return run(operation.apply(Work(job, DATASET, "sluice", sink(client), lambda: None, at=17), [BLOCK]))


def owner(job_id: str, row: int) -> dict[str, Any]:
    return {"job_id": job_id, "row_number": row}


def test_keys_of_several_parts_are_told_apart() -> None:
    ids = [key_id("j1", key) for key in (["a", "b,c"], ["a,b", "c"], ["a\x1fb", "c"], ["a", "b\x1fc"], ["a,b,c"])]
    assert len(set(ids)) == len(ids)
    assert key_id("j1", ["a", 1]) == key_id("j1", ["a", 1]) != key_id("j2", ["a", 1])


def test_the_id_of_a_row_is_its_key_within_the_job_and_for_teams_within_the_organisation() -> None:
    for operation, scope in ((Upload(), "j1"), (Teams(), "acme")):
        client = StubClient()
        assert apply(client, operation).outcomes == [Outcome(applied=2, last_row=2)]
        (items,) = client.requests
        assert [(item.action, item.id) for item in items] == [("create", key_id(scope, [n])) for n in ("Rex", "Tom")]


def test_a_row_whose_key_another_row_has_is_an_error_that_names_it() -> None:
    client = Known([answers([201, 409])], Tom=owner("j1", 900))
    result = apply(client, Upload())
    assert result.outcomes == [Outcome(applied=1, failed=1, last_row=2)]
    (error,) = result.errors
    assert (error.row, error.line, error.column, error.value) == (2, 3, "name", "Tom")
    assert error.reason == "name 'Tom' is in row 900 of the file already"
    assert [(item.index, item.id) for item in client.requests[1]] == [("sluice-errors", "j1:2")]


def test_a_repeat_meets_its_own_documents() -> None:
    client = Known([answers([409, 409])], Rex=owner("j1", 1), Tom=owner("j1", 2))
    assert apply(client, Upload()).outcomes == [Outcome(applied=2, last_row=2)]


def test_a_team_of_another_job_is_an_error_that_names_the_job() -> None:
    client = Known([answers([409, 201])], Rex=owner("j0", 1))
    (error,) = apply(client, Teams()).errors
    assert error.reason == "name 'Rex' exists already (created by job j0)"
    client = Known([answers([409, 201])])
    (error,) = apply(client, Teams()).errors
    assert error.reason == "name 'Rex' exists already", "it has gone since"
