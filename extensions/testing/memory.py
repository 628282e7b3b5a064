"""As much of Elasticsearch as operations ask for, in memory: a client that takes the place of `AsyncElasticsearch`.

It does what Elasticsearch does in these points: a search sees what was there at the last refresh; bulk items are done
one by one, each with its own answer; an index with a mapping refuses fields that it has not. It does not check the
types of values, and knows nothing of shards. tests/integration/test_extensions.py asks both the same, and compares.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig, ObjectApiResponse
from elasticsearch import BadRequestError, NotFoundError

from extensions.testing.index import Kept, MemoryIndex, refused
from extensions.testing.queries import matches, values_of


class MemoryElasticsearch:
    """Bulk requests, searches, `mget` and a few requests about indices."""

    def __init__(self, mappings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """`mappings`: of the indices that are there from the beginning, as schemas/indices.py makes them."""
        self._mappings = dict(mappings or {})
        self._indices = {name: self._made(name) for name in self._mappings}
        self._ignored: tuple[int, ...] = ()
        self.indices = MemoryIndices(self)

    def options(self, *, ignore_status: int | tuple[int, ...] = (), **_: Any) -> MemoryElasticsearch:
        """The same documents, through a client that takes these statuses for answers."""
        other = copy.copy(self)
        other._ignored = (ignore_status,) if isinstance(ignore_status, int) else ignore_status
        other.indices = MemoryIndices(other)
        return other

    def contents(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Index -> id -> document, of every index, refreshed or not."""
        return {
            name: {key: kept.source for key, kept in index.documents.items()} for name, index in self._indices.items()
        }

    async def bulk(self, *, operations: bytes, index: str | None = None, **_: Any) -> ObjectApiResponse[Any]:
        """Carries out lines of create, index, update and delete; `index` is that of lines that name none."""
        items = [
            {action: self._done(action, {"_index": index, **head}, document)}
            for action, head, document in read_lines(operations)
        ]
        return _answer({"errors": any("error" in item for entry in items for item in entry.values()), "items": items})

    async def search(
        self,
        *,
        index: str,
        query: Mapping[str, Any] | None = None,
        size: int = 10,
        source: bool = True,
        aggs: Mapping[str, Any] | None = None,
        seq_no_primary_term: bool = False,
        version: bool = False,
        sort: Sequence[Mapping[str, Any]] = (),
        search_after: Sequence[Any] | None = None,
        ignore_unavailable: bool = False,
        **_: Any,
    ) -> ObjectApiResponse[Any]:
        """The documents that were there at the last refresh."""
        there = self._named(index, ignore_unavailable)
        found, mapped = [], self._mapped(index)
        for key, kept in there.seen.items() if there is not None else ():
            if matches(query or {"match_all": {}}, key, kept.source, mapped):
                found.append((key, kept))
        total = len(found)
        if sort:
            found = _sorted(found, sort, search_after, mapped)
        hits = [
            {"_index": index, "_id": key}
            | ({"sort": [_place(kept, by, mapped) for by in sort]} if sort else {})
            | ({"_version": kept.version} if version else {})
            | ({"_source": copy.deepcopy(kept.source)} if source else {})
            | ({"_seq_no": kept.number, "_primary_term": 1} if seq_no_primary_term else {})
            for key, kept in found[:size]
        ]
        body = {"hits": {"total": {"value": total, "relation": "eq"}, "hits": hits}}
        if aggs is not None:
            body["aggregations"] = {
                name: _aggregated(asked, [kept.source for _, kept in found], mapped) for name, asked in aggs.items()
            }
        return _answer(body)

    async def mget(
        self, *, index: str, ids: Sequence[str], source_includes: str | None = None, **_: Any
    ) -> ObjectApiResponse[Any]:
        """Documents by their ids, refreshed or not."""
        there, docs = self._indices.get(index), []
        for key in ids:
            kept = there.documents.get(key) if there is not None else None
            doc: dict[str, Any] = {"_index": index, "_id": key}
            if there is None:
                doc["error"] = _no_index(index)
            else:
                doc["found"] = kept is not None
            if kept is not None:
                names = [source_includes] if source_includes is not None else list(kept.source)
                doc |= {"_seq_no": kept.number, "_primary_term": 1}
                doc["_source"] = copy.deepcopy({name: kept.source[name] for name in names if name in kept.source})
            docs.append(doc)
        return _answer({"docs": docs})

    def _done(self, action: str, head: Mapping[str, Any], document: Any) -> dict[str, Any]:
        name = head["_index"]
        if name not in self._indices:
            if action == "delete":
                return refused(404, **_no_index(name))
            self._indices[name] = self._made(name)
        return self._indices[name].done(action, head, document)

    def _made(self, name: str) -> MemoryIndex:
        mapping = self._mappings.get(name, {})
        return MemoryIndex(frozenset(mapping["properties"]) if mapping.get("dynamic") == "strict" else None)

    def _mapped(self, index: str) -> Any:
        properties = self._mappings.get(index, {}).get("properties", {})
        return lambda path: path.partition(".")[0] in properties

    def _named(self, name: str, ignore_unavailable: bool) -> MemoryIndex | None:
        there = self._indices.get(name)
        if there is None and not ignore_unavailable:
            _raise(NotFoundError, 404, _no_index(name))
        return there


class MemoryIndices:
    """The requests about indices."""

    def __init__(self, client: MemoryElasticsearch) -> None:
        self._client = client

    async def refresh(self, *, index: str, ignore_unavailable: bool = False, **_: Any) -> ObjectApiResponse[Any]:
        """From now on searches see what is there now."""
        there = self._client._named(index, ignore_unavailable)
        if there is not None:
            there.seen = dict(there.documents)
        return _answer({})

    async def create(self, *, index: str, **_: Any) -> ObjectApiResponse[Any]:
        """Makes an index; its mapping is not looked at."""
        if index not in self._client._indices:
            self._client._indices[index] = self._client._made(index)
        elif 400 not in self._client._ignored:
            _raise(BadRequestError, 400, {"type": "resource_already_exists_exception", "reason": f"[{index}] is there"})
        return _answer({"index": index})


def read_lines(operations: bytes) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """The items of a bulk request's body: action, what its line says, and the document; a deletion has none."""
    lines = iter(operations.splitlines())
    for line in lines:
        ((action, head),) = json.loads(line).items()
        yield action, head, None if action == "delete" else json.loads(next(lines))


def _place(kept: Kept, by: Mapping[str, Any], mapped: Any) -> Any:
    ((field, order),) = by.items()
    if order not in ("asc", "desc"):
        raise NotImplementedError(f"the memory of the tests sorts by asc or desc, not {order!r}")
    return next(iter(values_of(kept.source, field, mapped)), None)


def _sorted(
    found: list[tuple[str, Kept]], sort: Sequence[Mapping[str, Any]], after: Sequence[Any] | None, mapped: Any
) -> list[tuple[str, Kept]]:
    if after is not None and any("desc" in by.values() for by in sort):
        raise NotImplementedError("the memory of the tests goes through pages upwards only")
    there = [it for it in found if after is None or [_place(it[1], by, mapped) for by in sort] > list(after)]
    for by in reversed(sort):
        downwards = "desc" in by.values()
        # What has no value comes last, either way.
        lasts = [it for it in there if _place(it[1], by, mapped) is None]
        there = [it for it in there if _place(it[1], by, mapped) is not None]
        there = sorted(there, key=lambda it: _place(it[1], by, mapped), reverse=downwards) + lasts
    return there


def _aggregated(asked: Mapping[str, Any], sources: list[dict[str, Any]], mapped: Any) -> dict[str, Any]:
    ((kind, body),) = asked.items()
    if kind == "terms":
        found = Counter(value for source in sources for value in values_of(source, body["field"], mapped))
        most = found.most_common(body.get("size", 10))
        return {"buckets": [{"key": value, "doc_count": count} for value, count in most]}
    if kind == "composite":
        return _composite(body, sources, mapped)
    if kind not in ("max", "min"):
        raise NotImplementedError(f"the memory of the tests does not understand the aggregation {kind!r}")
    values = [value for source in sources for value in values_of(source, body["field"], mapped)]
    return {"value": float((max if kind == "max" else min)(values)) if values else None}


def _composite(body: Mapping[str, Any], sources: list[dict[str, Any]], mapped: Any) -> dict[str, Any]:
    """One page of the values of one field, in their order, from behind the value `after` on."""
    (((name, by),),) = (source.items() for source in body["sources"])
    found = Counter(value for source in sources for value in values_of(source, by["terms"]["field"], mapped))
    after = body.get("after")
    values = sorted(value for value in found if after is None or value > after[name])[: body.get("size", 10)]
    page = {"buckets": [{"key": {name: value}, "doc_count": found[value]} for value in values]}
    return {"after_key": {name: values[-1]}, **page} if values else page


def _no_index(name: str) -> dict[str, str]:
    return {"type": "index_not_found_exception", "reason": f"no such index [{name}]"}


def _meta(status: int) -> ApiResponseMeta:
    return ApiResponseMeta(status, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "memory", 9200))


def _answer(body: dict[str, Any]) -> ObjectApiResponse[Any]:
    return ObjectApiResponse(body=body, meta=_meta(200))


def _raise(kind: type[NotFoundError] | type[BadRequestError], status: int, reason: dict[str, str]) -> NoReturn:
    raise kind(reason["type"], _meta(status), {"error": reason, "status": status})
