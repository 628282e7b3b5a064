"""Does what Kibana does with a Lens chart: derives the search from the saved object, and the table from the answer.

The tests' Elasticsearch does not have `top_metrics`, which Kibana uses; `top_hits` stands for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Row = dict[str, Any]
MISSING = "__missing__"
_ANY_OF = re.compile(r'^(\w+) : \((".+?"(?: or ".+?")*)\)$')


class Lens:
    """One chart, made of its saved object."""

    def __init__(self, saved: Json) -> None:
        self.state: Json = saved["attributes"]["state"]
        (reference,) = saved["references"]
        self.index: str = reference["id"]
        (layer,) = self.state["datasourceStates"]["formBased"]["layers"].values()
        self.columns: dict[str, Json] = {name: layer["columns"][name] for name in layer["columnOrder"]}
        self.buckets = [name for name, column in self.columns.items() if column["isBucketed"]]
        self.numbers = [name for name, column in self.columns.items() if not column["isBucketed"]]

    @property
    def summed_over(self) -> set[str]:
        """The buckets whose numbers are added up, and which are not shown."""
        look = self.state["visualization"]
        if "collapseFn" in look:
            assert look["collapseFn"] == "sum"
            return {look["breakdownByAccessor"]}
        return {column["columnId"] for column in look.get("columns", []) if column.get("collapseFn") == "sum"}

    def search(self, **chosen: str) -> Json:
        """The body of the search; `chosen`: the values of the dashboard's controls, by field."""
        filters: list[Json] = [{"term": {field: value}} for field, value in chosen.items()]
        query = self.state["query"]["query"]
        if query:
            found = _ANY_OF.match(query)
            assert found, f"this KQL is not understood here: {query}"
            filters.append({"terms": {found[1]: re.findall(r'"(.+?)"', found[2])}})
        aggregations = self._metrics(self.numbers)
        for name in reversed(self.buckets):
            aggregations = {name: self._bucket(self.columns[name], aggregations)}
        return {"size": 0, "query": {"bool": {"filter": filters}}, "aggs": aggregations, "track_total_hits": True}

    def table(self, answer: Json) -> list[Row]:
        """The rows that are shown."""
        whole = {**answer.get("aggregations", {}), "doc_count": answer["hits"]["total"]["value"]}
        rows = list(self._rows(whole, self.buckets))
        hidden = self.summed_over
        if not hidden:
            return rows
        kept = [name for name in self.buckets if name not in hidden]
        sums: defaultdict[tuple[Any, ...], Row] = defaultdict(lambda: dict.fromkeys(self.numbers, 0))
        for row in rows:
            total = sums[tuple(row[name] for name in kept)]
            for name in self.numbers:
                total[name] += row[name] or 0
        return [{**dict(zip(kept, key, strict=True)), **total} for key, total in sums.items()]

    def _metrics(self, names: list[str]) -> Json:
        found = {name: self._metric(self.columns[name]) for name in names}
        return {name: metric for name, metric in found.items() if metric is not None}

    def _metric(self, column: Json) -> Json | None:
        field = column["sourceField"]
        match column["operationType"]:
            case "max" | "sum" as kind:
                return {kind: {"field": field}}
            case "last_value":
                newest = [{column["params"]["sortField"]: "desc"}]
                return {"top_hits": {"size": 1, "sort": newest, "_source": [field]}}
            case "count":
                return None
            case other:
                raise AssertionError(f"no aggregation is known for {other}")

    def _bucket(self, column: Json, below: Json) -> Json:
        field, params = column["sourceField"], column["params"]
        if column["operationType"] == "date_histogram":
            return {"date_histogram": {"field": field, "fixed_interval": "1s", "min_doc_count": 0}, "aggs": below}
        assert column["operationType"] == "terms"
        terms: Json = {"field": field, "size": params["size"], "order": {"_key": params["orderDirection"]}}
        if params["otherBucket"] and params["missingBucket"]:
            terms["missing"] = MISSING
        more: Json = {}
        match params["orderBy"]["type"]:
            case "column":
                by = params["orderBy"]["columnId"]
                more = self._metrics([by])
                terms["order"] = {by if more else "_count": params["orderDirection"]}
            case "custom":
                more = {"order": self._metric(params["orderAgg"])}
                terms["order"] = {"order": params["orderDirection"]}
        return {"terms": terms, "aggs": {**below, **more}}

    def _rows(self, answer: Json, buckets: list[str]) -> Iterator[Row]:
        if not buckets:
            yield {name: self._value(name, answer) for name in self.numbers}
            return
        first, *rest = buckets
        for bucket in answer[first]["buckets"]:
            for row in self._rows(bucket, rest):
                yield {first: bucket["key"], **row}

    def _value(self, name: str, answer: Json) -> Any:
        column = self.columns[name]
        match column["operationType"]:
            case "count":
                value = answer["doc_count"]
            case "last_value":
                hits = answer[name]["hits"]["hits"]
                value = hits[0]["_source"].get(column["sourceField"]) if hits else None
            case _:
                value = answer[name]["value"]
        return value
