"""How far the keys of a dataset's index reach: its ids are made of it, so it stays while there are rows."""

from __future__ import annotations

from typing import Any

from elasticsearch import Elasticsearch

from schemas.descriptors.datasets import Dataset
from schemas.indices import SCOPE

_SAMPLE = 100
"""Documents that are read, at most, of an index that has no note of its own."""


def scope_problem(client: Elasticsearch, index: str, dataset: Dataset, meta: dict[str, Any]) -> str | None:
    """Why the index can't have the keys that the dataset asks for; None: it can, or has them. `meta` is the index's."""
    if not dataset.primary_key:
        return None
    noted, wanted = meta.get(SCOPE), dataset.key_scope
    if noted == wanted:
        return None
    client.indices.refresh(index=index)
    rows = int(client.count(index=index)["count"])
    if not rows or (noted is None and _fits(client, index, wanted)):
        return None
    there = noted or ("job" if wanted == "organisation" else "organisation")
    return (
        f"the {rows:,} rows of index {index} have keys that reach the {there}, and dataset {dataset.name} says "
        f"{wanted!r} (sluice.key_scope): this can't be changed while there are rows. Put it back to {there!r}, give "
        f"the dataset another name, or delete the index to begin without rows"
    )


def _fits(client: Elasticsearch, index: str, scope: str) -> bool:
    """Whether some rows of an index that was made before such notes have keys of this scope. A job's rows keep their
    ids, so the rows of older jobs may have others."""
    found = client.search(index=index, size=_SAMPLE, source_includes=["sluice"])["hits"]["hits"]
    owner = "job_id" if scope == "job" else "organisation"
    return any(hit["_id"].startswith(f"{hit['_source'].get('sluice', {}).get(owner)}:") for hit in found)
