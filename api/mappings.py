"""Mappings of columns that an organisation keeps under a name, in an index of Elasticsearch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from api.elastic.documents import Documents, Hits
from api.errors import ApiError, invalid, refused
from api.models.mappings import MappingBody, MappingView
from control.creation.admission import Catalog
from control.creation.limits import columns_problem
from control.creation.quotas import room_problem
from runtime.text.formatting import iso_time
from schemas.ids import mapping_name_problem
from schemas.indices import index_name
from schemas.job import Job, Options, Source

INDEX: Final = "mappings"
NAMED: Final = 1000
"""Names that are listed, at most."""
_WHAT: Final = "mappings of columns are"


@dataclass(frozen=True, slots=True)
class MappingName:
    """A mapping that can be chosen."""

    name: str
    organisation: str
    dataset: str
    """Empty: the mapping was kept by an older version."""


class Mappings:
    """The mappings of all organisations."""

    def __init__(self, documents: Documents, prefix: str) -> None:
        self._documents = documents
        self._index = index_name(prefix, INDEX)

    async def save(
        self,
        organisation: str,
        name: str,
        body: MappingBody,
        by: str,
        at: int,
        catalog: Catalog,
    ) -> MappingView:
        """Keep a mapping, in place of one of this name.

        Raises:
            ApiError: 400, the name or the mapping can't be used; 429, there are too many; 503.
        """
        require_name(name)
        datasets = catalog.datasets
        if body.dataset not in datasets:
            raise invalid(f"dataset {body.dataset[:80]!r} is not known; use one of {', '.join(sorted(datasets))}")
        options = Options(columns=body.columns, set=body.set, ignore_extra=body.ignore_extra)
        problem = columns_problem(options, datasets[body.dataset], Source(kind="file"))
        if problem is not None:
            raise invalid(problem)
        await self._require_room(organisation, name, catalog.quotas.of(organisation).mappings)
        view = MappingView(
            name=name,
            organisation=organisation,
            dataset=body.dataset,
            columns=body.columns,
            set=body.set,
            ignore_extra=body.ignore_extra,
            updated_at=iso_time(at) or "",
            updated_by=by,
        )
        # Names of columns may be any text, and values null: kept as they are, and not looked into.
        text = msgspec.json.encode(view).decode()
        document = {"organisation": organisation, "name": name, "dataset": body.dataset, "mapping": text}
        await self._documents.put(_WHAT, self._index, _id(organisation, name), document)
        return view

    async def find(self, organisation: str, name: str) -> MappingView:
        """The mapping of this name.

        Raises:
            ApiError: 404, there is none; 400, no mapping has such a name; 503.
        """
        require_name(name)
        document = await self._documents.get(_WHAT, self._index, _id(organisation, name))
        if document is None:
            raise no_such_mapping(organisation, name)
        return _view(document)

    async def names(self, organisations: Collection[str] | None) -> list[MappingName]:
        """The first `NAMED` mappings of these organisations, or of all, by name. Raises ApiError 503."""
        found = self._pages(organisations, ("name", "organisation", "dataset"), limit=NAMED, first=NAMED)
        sources = [hit["_source"] async for hits in found for hit in hits]
        return [MappingName(one["name"], one["organisation"], one.get("dataset", "")) for one in sources]

    async def listed(self, organisation: str) -> AsyncIterator[list[MappingView]]:
        """The mappings of an organisation, by name, some at a time: together they may be long. Raises ApiError 503."""
        async for hits in self._pages([organisation]):
            yield [_view(hit["_source"]) for hit in hits]

    async def _pages(
        self, organisations: Collection[str] | None, included: Collection[str] = (), **more: Any
    ) -> AsyncIterator[Hits]:
        everyone: dict[str, Any] = {"match_all": {}}
        query = everyone if organisations is None else {"terms": {"organisation": sorted(organisations)}}
        body: dict[str, Any] = {"query": query, "sort": [{"name": "asc"}, {"organisation": "asc"}]}
        if included:
            body["source_includes"] = list(included)
        async with aclosing(self._documents.pages(_WHAT, self._index, body, **more)) as pages:
            async for hits, _ in pages:
                yield hits

    async def count(self, organisation: str) -> int | None:
        """How many the organisation has; None: Elasticsearch does not answer."""
        try:
            return await self._count(organisation)
        except ApiError:
            return None

    async def _count(self, organisation: str) -> int:
        """Raises ApiError 503."""
        return await self._documents.count(_WHAT, self._index, {"term": {"organisation": organisation}})

    async def _require_room(self, organisation: str, name: str, most: int) -> None:
        """Two that are saved at the same moment may both find room: the limit is no lock."""
        problem = room_problem("mappings", organisation, await self._count(organisation), most)
        if problem is not None and not await self._documents.exists(_WHAT, self._index, _id(organisation, name)):
            raise refused(problem)

    async def remove(self, organisation: str, name: str) -> None:
        """Forget a mapping; there may be none. Raises ApiError 503."""
        await self._documents.remove(_WHAT, self._index, _id(organisation, name))

    async def resolved(self, options: Options, organisation: str, dataset: str | None, made: Job | None) -> Options:
        """The options with what their mapping says; what they say themselves counts more.

        `made`: the job that the same request has made before, which follows what the mapping was then.

        Raises:
            ApiError: as `find`; 400, the mapping is for another dataset.
        """
        if options.mapping is None:
            return options
        if made is not None and made.options.mapping == options.mapping:
            had = made.options
            return replace(options, columns=had.columns, set=had.set, ignore_extra=had.ignore_extra)
        try:
            kept = await self.find(organisation, options.mapping)
        except ApiError as error:
            raise invalid(error.message) if error.code == 404 else error from None
        if dataset not in (None, kept.dataset):
            raise invalid(f"the mapping {options.mapping!r} is for dataset {kept.dataset}, not for {dataset}")
        return replace(
            options,
            columns={**kept.columns, **options.columns},
            set={**kept.set, **options.set},
            ignore_extra=kept.ignore_extra or options.ignore_extra,
        )


def no_such_mapping(organisation: str, name: str) -> ApiError:
    """404: also where the organisation is not the caller's."""
    text = f"organisation {organisation} has no mapping {name[:80]!r}; GET /v1/mappings lists those there are"
    return ApiError(404, text)


def require_name(name: str) -> None:
    """Require that a mapping can be called so.

    Raises:
        ApiError: 400, it can't.
    """
    problem = mapping_name_problem(name)
    if problem is not None:
        raise invalid(problem)


def _id(organisation: str, name: str) -> str:
    return f"{organisation}:{name}"


def _view(source: dict[str, Any]) -> MappingView:
    return msgspec.json.decode(source["mapping"], type=MappingView)
