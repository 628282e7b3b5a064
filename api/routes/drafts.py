"""The file of a job that was made before it: its parts, as tus (tus.io, version 1.0) has them."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.errors import invalid
from api.jobs.creation.draft_room import draft_file
from api.jobs.creation.drafts import file_part, require_draft, take_part
from api.models.jobs import FilePart
from api.routes.answers import JOB
from api.web.responses import json_answer
from api.web.routing import Answer, Body, Endpoint, Parameter, refusal, unavailable
from api.web.services import caller, services_of, visible_job
from schemas.policies.principals import Role

FILE: Final = f"{JOB}/file"
_OFFSET: Final = "Upload-Offset"
_TUS: Final = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
_SAID: Final = {_OFFSET: "Bytes that have come: the next part begins here"}


async def get_file(request: Request) -> Response:
    """How much of the file has come."""
    job, services = await visible_job(request), services_of(request)
    require_draft(job, services)
    part = file_part(services, job, draft_file(services, job).size())
    answer = json_answer(part)
    answer.headers.update({**_TUS, _OFFSET: str(part.offset)})
    if part.bytes is not None:
        answer.headers["Upload-Length"] = str(part.bytes)
    return answer


async def append_file(request: Request) -> Response:
    """Append the request's body to the part of the file that was received."""
    job, services = await visible_job(request), services_of(request)
    text = request.headers.get(_OFFSET.lower(), "")
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise invalid(
            f"the header {_OFFSET} says where the part begins: the number that HEAD {request.url.path} answers"
        )
    size = await take_part(services, job, caller(request), int(text), request)
    return Response(status_code=204, headers={**_TUS, _OFFSET: str(size)})


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        FILE,
        get_file,
        "getFile",
        "How much of the file of a draft has come",
        (Answer(200, "How much has come", FilePart, _SAID), refusal(409, "The job is no draft")),
        role=Role.VIEWER,
    ),
    Endpoint(
        "PATCH",
        FILE,
        append_file,
        "appendFile",
        "Append to the file of a draft, from the offset on that has come",
        (
            Answer(204, "The part is stored", headers=_SAID),
            refusal(409, "The job is no draft, the part does not begin where it should, or another request sends it"),
            refusal(413, "The file becomes too large, or exceeds a limit"),
            unavailable("The storage can't be written, or the API has just started"),
            refusal(507, "The server's disk is full; the draft keeps the parts that it has"),
        ),
        (
            Parameter(
                _OFFSET,
                "Bytes that have come before",
                Annotated[str, Meta(pattern=r"^[0-9]{1,16}$")],
                "header",
            ),
        ),
        Body(text="application/offset+octet-stream"),
        description="What has come before a connection breaks off stays: ask for the offset, and go on from there. A "
        "wrong header is refused as soon as it has come; the job stays a draft then.",
        role=Role.OPERATOR,
    ),
)
