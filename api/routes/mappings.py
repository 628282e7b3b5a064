"""Routes of mappings that an organisation keeps under a name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.errors import ApiError, invalid
from api.jobs.creation.options_body import options_body_as
from api.mappings import no_such_mapping
from api.models.mappings import MappingBody, MappingList, MappingView
from api.web.bodies import short_body
from api.web.responses import json_answer
from api.web.routing import JSON, Answer, Body, Endpoint, Parameter, refusal, unavailable
from api.web.services import caller, services_of
from control.creation.admission import is_organisation
from runtime.clock import now_ms
from schemas import bounds
from schemas.other_forms import with_own_names
from schemas.policies.principals import Role

_PATH: Final = "/v1/mappings/{name}"
_WHOSE: Final = Parameter(
    "organisation", "The organisation; left out: the caller's own if it has just one, else `default`", bounds.Name
)
_NAMED: Final = Parameter("name", "The mapping's name", bounds.MappingName, "path")
_FOREIGN: Final = refusal(403, "The organisation is not the caller's, or a web page of another site sends this")
_SILENT: Final = unavailable("Elasticsearch does not answer")


async def list_mappings(request: Request) -> Response:
    """The mappings of an organisation."""
    whose = _organisation(request)
    if not caller(request).may_see(whose):
        return json_answer(MappingList(mappings=[]))
    pages = services_of(request).mappings.listed(whose)
    # The first page is fetched before the answer begins, so that a failure can still become an error status.
    return StreamingResponse(_list(await anext(pages), pages), media_type=JSON)


async def _list(first: list[MappingView], rest: AsyncIterator[list[MappingView]]) -> AsyncIterator[bytes]:
    """A `MappingList` in JSON, in pieces."""
    yield b'{"mappings":[' + b",".join(map(msgspec.json.encode, first))
    async for page in rest:
        yield b"".join(b"," + msgspec.json.encode(mapping) for mapping in page)
    yield b"]}"


async def get_mapping(request: Request) -> Response:
    """One mapping."""
    whose, name = _organisation(request), request.path_params["name"]
    if not caller(request).may_see(whose):
        raise no_such_mapping(whose, name)
    return json_answer(await services_of(request).mappings.find(whose, name))


async def save_mapping(request: Request) -> Response:
    """Keep a mapping under a name."""
    services, whose = services_of(request), _own(request)
    body, _ = options_body_as(await short_body(request), MappingBody, with_own_names)
    name = request.path_params["name"]
    view = await services.mappings.save(
        whose,
        name,
        body,
        caller(request).name,
        now_ms(),
        services.catalog,
    )
    return json_answer(view)


async def remove_mapping(request: Request) -> Response:
    """Forget a mapping."""
    await services_of(request).mappings.remove(_own(request), request.path_params["name"])
    return Response(status_code=204)


def _organisation(request: Request) -> str:
    whose = request.query_params.get(_WHOSE.name, caller(request).own_organisation or "default")
    if not is_organisation(whose):
        raise invalid(f"organisation {whose[:80]!r} is not a name that can be used")
    return whose


def _own(request: Request) -> str:
    whose = _organisation(request)
    if not caller(request).may_see(whose):
        raise ApiError(403, f"this API key may not act for organisation {whose}", {"organisation": whose})
    return whose


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/mappings",
        list_mappings,
        "listMappings",
        "Mappings of columns that an organisation keeps",
        (Answer(200, "Mappings, by name; none of an organisation that is not the caller's", MappingList), _SILENT),
        (_WHOSE,),
        role=Role.VIEWER,
    ),
    Endpoint(
        "GET",
        _PATH,
        get_mapping,
        "getMapping",
        "One mapping",
        (Answer(200, "The mapping", MappingView), refusal(404, "There is no such mapping"), _SILENT),
        (_NAMED, _WHOSE),
        role=Role.VIEWER,
    ),
    Endpoint(
        "PUT",
        _PATH,
        save_mapping,
        "saveMapping",
        "Keep a mapping under a name; an earlier one of this name is replaced",
        (Answer(200, "The mapping", MappingView), _FOREIGN, _SILENT),
        (_NAMED, _WHOSE),
        Body(MappingBody),
        role=Role.OPERATOR,
    ),
    Endpoint(
        "DELETE",
        _PATH,
        remove_mapping,
        "removeMapping",
        "Delete a mapping; jobs that used it keep its columns",
        (Answer(204, "There is no mapping of this name"), _FOREIGN, _SILENT),
        (_NAMED, _WHOSE),
        role=Role.OPERATOR,
    ),
)
