"""The test kit for operations of one's own, on a real Elasticsearch: its memory answers as that one does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import ApiError, AsyncElasticsearch

from devstack.ephemeral import Servers
from extensions.testing import CHECKS, MemoryStore, ServerStore, Trial
from processor.elastic.documents import bulk_item
from runtime.clients import async_elasticsearch
from runtime.provision import provision_indices
from runtime.settings import Settings
from tests.conftest import own_settings
from tests.support.in_memory.own_operations import OPERATIONS, TEAMS, stored_team
from tests.support.processes.cluster import forget


@pytest.fixture(scope="module")
def config(stack: Servers, test_home: Path) -> Iterator[Settings]:
    made = own_settings(stack, test_home)
    provision_indices(made)
    yield made
    forget(made)


def on_server(config: Settings, action: Callable[[ServerStore], Awaitable[None]]) -> None:
    """Do something with the documents of a real Elasticsearch."""

    async def connected() -> None:
        async with async_elasticsearch(config, once=True) as client:
            await action(ServerStore(client, config.prefix))

    asyncio.run(connected())


@pytest.mark.parametrize("name", OPERATIONS)
def test_our_operations_keep_their_promises(config: Settings, name: str) -> None:
    async def checked(store: ServerStore) -> None:
        for check in CHECKS:
            await check(Trial(*OPERATIONS[name], store, every=6))
        await store.clear()

    on_server(config, checked)


def test_a_trial_leaves_the_documents_of_others_alone(config: Settings) -> None:
    async def checked(store: ServerStore) -> None:
        await store.client.index(index=f"{config.prefix}-data-people", id="theirs", document={"name": "Kim"})
        with pytest.raises(ValueError, match="data-people: give the trial a prefix of its own"):
            await Trial(*OPERATIONS["upload"], store).begin()
        assert await store.contents() == {"data-people": {"theirs": {"name": "Kim"}}}
        await store.client.delete(index=f"{config.prefix}-data-people", id="theirs")

    on_server(config, checked)


def test_the_memory_answers_as_elasticsearch_does(config: Settings) -> None:
    async def compared(server: ServerStore) -> None:
        await server.clear()
        async with without_refresh(server.client, server.prefix):
            real = await told(server.client, server.prefix)
        memory = MemoryStore()
        assert await told(memory.client, memory.prefix) == real
        assert await memory.contents() == await server.contents()
        await server.clear()

    on_server(config, compared)


@asynccontextmanager
async def without_refresh(client: AsyncElasticsearch, prefix: str) -> AsyncIterator[None]:
    """Have the indices, also those that `told` makes, show what is written only once a refresh is asked for."""
    settings, data = {"refresh_interval": "-1"}, f"{prefix}-data-*"
    await client.indices.put_index_template(
        name=f"{prefix}-unrefreshed",
        index_patterns=[f"{prefix}-own", f"{prefix}-absent*"],
        template={"settings": {**settings, "number_of_replicas": 0}},
        priority=1000,
    )
    await client.indices.put_settings(index=data, settings=settings)
    try:
        yield
    finally:
        await client.indices.put_settings(index=data, settings={"refresh_interval": None})
        await client.indices.delete_index_template(name=f"{prefix}-unrefreshed")


async def told(client: AsyncElasticsearch, prefix: str) -> list[Any]:
    """What is answered to requests of every kind that operations make, in what an operation looks at."""
    teams, own, absent = f"{prefix}-data-teams", f"{prefix}-own", f"{prefix}-absent"
    team = stored_team(TEAMS[0], "job-1", 3)
    lines = [
        bulk_item("create", teams, "a", team),
        bulk_item("create", teams, "a", team),
        bulk_item("index", teams, "a", {**team, "size": 8}),
        bulk_item("index", teams, "b", stored_team(TEAMS[1], "job-2", 4)),
        bulk_item("index", teams, "c", {**team, "strange": 1}),
        bulk_item("update", teams, "b", {"doc": {"size": 9, "sluice": {"row_number": 5}}}),
        bulk_item("update", teams, "b", {"doc": {"size": 9}}),
        bulk_item("update", teams, "b", {"doc": {"strange": 9}}),
        bulk_item("update", teams, "nobody", {"doc": {"size": 9}}),
        bulk_item("delete", teams, "nobody"),
        bulk_item("delete", absent, "nobody"),
        bulk_item("update", f"{absent}-too", "nobody", {"doc": {"size": 9}}),
        *(bulk_item("create", own, f"k{row}", {"job": f"job-{row % 2}", "row": row}) for row in range(1, 8)),
    ]
    answers = [statuses(await client.bulk(operations=b"\n".join(lines) + b"\n"))]
    # The request's index is that of an item without one; another item names its own.
    mixed = [bulk_item("create", None, "n", {"job": "job-0", "row": 8}), bulk_item("delete", absent, "nobody")]
    answers.append(statuses(await client.bulk(index=own, operations=b"\n".join(mixed) + b"\n")))
    answers.append(statuses(await client.bulk(index=own, operations=bulk_item("delete", None, "n") + b"\n")))

    async def ask(request: Awaitable[Any]) -> None:
        try:
            answers.append(plain((await request).body))
        except ApiError as error:
            answers.append([error.status_code, error.error])

    async def find(index: str, *filters: dict[str, Any], **more: Any) -> None:
        await ask(client.search(index=index, query={"bool": {"filter": list(filters)}}, **more))

    await find(own, {"match_all": {}})
    await find(absent)
    await find(absent, ignore_unavailable=True)
    await ask(client.indices.refresh(index=absent))
    await ask(client.indices.refresh(index=absent, ignore_unavailable=True))
    await client.indices.refresh(index=own)
    await client.indices.refresh(index=teams)
    await find(own, {"term": {"job.keyword": "job-1"}})
    await find(own, {"terms": {"job.keyword": ["job-1", "job-0"]}}, {"range": {"row": {"gt": 2, "lte": 5}}})
    await find(own, {"term": {"row": {"value": 2}}})
    await find(own, {"exists": {"field": "job"}}, {"bool": {"must_not": {"ids": {"values": ["k1", "k9"]}}}}, size=50)
    await find(own, {"bool": {"should": [{"term": {"row": 1}}, {"term": {"row": 2}}]}})
    await find(teams, {"term": {"sluice.job_id": "job-1"}}, {"range": {"sluice.row_number": {"gte": 3, "lt": 4}}})
    await find(teams, {"term": {"team": TEAMS[1]["team"]}}, source=False)
    await find(teams, {"term": {"team.keyword": TEAMS[1]["team"]}})
    last = {"last": {"max": {"field": "sluice.row_number"}}}
    await find(teams, size=0, track_total_hits=True, aggs=last)
    await find(teams, {"term": {"sluice.job_id": "none"}}, size=0, track_total_hits=True, aggs=last)
    jobs: dict[str, Any] = {"size": 1, "sources": [{"job": {"terms": {"field": "job.keyword"}}}]}
    for after in ({}, {"after": {"job": "job-0"}}, {"after": {"job": "job-1"}}):
        await find(own, {"range": {"row": {"gt": 2}}}, size=0, aggs={"jobs": {"composite": {**jobs, **after}}})
    await ask(client.mget(index=teams, ids=["a", "nobody"], source_includes="sluice"))
    await ask(client.mget(index=absent, ids=["a"]))
    await ask(client.indices.create(index=own))
    await ask(client.options(ignore_status=400).indices.create(index=own))
    found = await client.search(index=teams, query={"ids": {"values": ["a"]}}, seq_no_primary_term=True)
    (hit,) = found["hits"]["hits"]
    old = {"_index": teams, "_id": "a", "if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
    change, delete = bulk_item("update", teams, "a", {"doc": {"size": 5}}), json.dumps({"delete": old}).encode()
    answers.append(statuses(await client.bulk(operations=b"\n".join([change, delete]) + b"\n")))
    await find(teams, {"term": {"size": 5}})
    await client.indices.refresh(index=teams)
    (hit,) = (await client.search(index=teams, query={"term": {"size": 5}}, seq_no_primary_term=True))["hits"]["hits"]
    delete = json.dumps({"delete": {**old, "if_seq_no": hit["_seq_no"]}}).encode()
    answers.append(statuses(await client.bulk(operations=delete + b"\n")))
    await find(teams, {"term": {"size": 5}})
    return answers


def statuses(answer: Any) -> list[Any]:
    """A bulk answer: whether items were refused, and of each its action, its status and the kind of error."""
    items = [next(iter(entry.items())) for entry in answer["items"]]
    return [answer["errors"], [(name, item["status"], item.get("error", {}).get("type")) for name, item in items]]


def plain(body: Any) -> Any:
    """An answer without the names of indices, scores, and the order of hits, which nobody asked for."""
    if "hits" in body:
        hits = sorted((hit["_id"], json.dumps(hit.get("_source"), sort_keys=True)) for hit in body["hits"]["hits"])
        return [body["hits"]["total"]["value"], hits, body.get("aggregations")]
    if "docs" in body:
        return [
            (doc["_id"], doc.get("found"), doc.get("_source"), doc.get("error", {}).get("type")) for doc in body["docs"]
        ]
    return "done"
