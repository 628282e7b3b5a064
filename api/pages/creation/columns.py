"""Which column of a file is which field, before the file is sent: a table made from its header.

The page's script sends the header alone; it reads the rows behind it itself, and checks them by `checks_of`. Of a file
in an encoding that only Python knows it sends the first bytes, if the user asks for it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, invalid
from api.jobs.creation.again import stored_path, text_left
from api.pages.creation.cell_checks import checks_of
from api.pages.creation.forms import columns_in, format_in
from api.pages.fields import no_form
from api.pages.rendering import fragment
from api.uploads.conversion import beginning
from api.uploads.multipart import boundary_of
from api.uploads.receiving import MOST_JSON_BYTES, TextPart, receive_parts
from api.uploads.unpacking import compression_of
from api.web.parsing import values_as
from api.web.services import caller, services_of, visible_job
from control.creation.admission import Catalog
from csvfile.columns import Wanted, wanted_by, wanted_of_corrections
from csvfile.cutter import Limits, cut
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES, UNENDED, Header, look_at_header
from csvfile.layout import Text, layout_by, layout_problem, text_by
from schemas.descriptors.datasets import ERROR_COLUMNS, Dataset
from schemas.descriptors.fields import UploadTime
from schemas.descriptors.modes import needs_key_only
from schemas.job import FORMAT_OPTIONS, Job, Options
from schemas.messages.blocks import PASSED_OVER

_SAMPLES: Final = 3
_SHOWN: Final = 200
"""Columns in the table, at most."""
_SAMPLE_CHARACTERS: Final = 40
_MOST_BYTES: Final = HEAD_BYTES + 2 * MOST_JSON_BYTES
_ZIP: Final = "The columns of a file in a zip are known once it has been sent."
_FURTHER: Final = "The header goes on behind what was looked at: its columns are known once the file has been sent."
_rows = msgspec.json.Decoder(list[list[str]])


@dataclass(frozen=True, slots=True)
class Row:
    """A column of the file."""

    name: str
    samples: list[str]
    field: str
    """Its field; empty: it is passed over, or not decided."""
    decided: bool
    asked: bool
    """Whether there is a choice: not for those that ``errors.csv`` adds."""


async def show_columns(request: Request) -> Response:
    """The table for the file whose header, or first bytes, are sent; nothing is stored. Fields: dataset, mode, empty,
    columns, whole; file."""
    fields, head = await _received(request)
    catalog = services_of(request).catalog
    dataset = catalog.datasets.get(fields.get("dataset", ""))
    if dataset is None:
        raise invalid("the dataset is not known; open the page anew")
    options = values_as(format_in(fields), Options)
    problem = layout_problem(options)
    if problem is not None:
        return fragment("columns.html", **_refused(problem))
    if compression_of(head) == "zip":
        return fragment("columns.html", **_unknown(_ZIP))
    said = columns_in(fields)
    try:
        wanted = dataclasses.replace(
            await _wanted(request, fields, dataset.name, said), key_only=_key_only(fields.get("mode"), dataset)
        )
    except ApiError as error:
        return fragment("columns.html", **_refused(error.message))

    def look(_stop: threading.Event) -> dict[str, Any]:
        return _table(head, "whole" in fields, dataset, wanted, options, text_by(options))

    shown = await services_of(request).looks.run(request, caller(request).scope, look)
    mode = next((mode for mode in dataset.modes if mode == fields.get("mode")), dataset.mode)
    if "told" in shown:
        shown["told"]["checks"] = checks_of(dataset, mode, keeps=fields.get("empty") != "clear")
    return fragment("columns.html", **shown)


async def _wanted(request: Request, fields: Mapping[str, str], dataset: str, said: dict[str, str | None]) -> Wanted:
    """The columns that the form names by hand and by a mapping. Raises as `Mappings.resolved`."""
    options = Options(columns=said, mapping=fields.get("mapping", "").strip() or None)
    organisation = fields.get("organisation", "").strip() or "default"
    if options.mapping is not None and not caller(request).may_see(organisation):
        raise ApiError(403, f"you may not act for organisation {organisation}")
    return wanted_by(await services_of(request).mappings.resolved(options, organisation, dataset, None))


async def show_stored_columns(request: Request) -> Response:
    """The table for the stored file of a job, or for the header of a file that is to be sent to it: that of a draft, or
    corrected rows. Fields: columns, and how the stored file is written; or file.
    """
    job, services = await visible_job(request), services_of(request)
    fields, header = await _received(request)

    def look(_stop: threading.Event) -> dict[str, Any]:
        if header:
            return {"fixed": True, **_sent_table(job, header, services.catalog)}
        return stored_table(fields, job, services.catalog, services.settings.storage_root)

    return fragment("columns.html", **await services.looks.run(request, job.organisation, look))


def stored_table(fields: Mapping[str, str], job: Job, catalog: Catalog, root: Path) -> dict[str, Any]:
    """What the table for the stored file of a job is given; blocks.

    Raises:
        ApiError: 404, the dataset is not known any more; 409 or 410, the file is not as it was.
    """
    dataset = _dataset_of(job, catalog)
    said = values_as(format_in(fields), Options)
    options = replace(job.options, **{name: getattr(said, name) for name in FORMAT_OPTIONS})
    problem = layout_problem(options)
    if problem is not None:
        return _refused(problem)
    with stored_path(job, root).open("rb") as file:
        head = file.read(HEAD_BYTES + 1)
    try:
        text = text_left(job, options)
    except ApiError as error:
        return _refused(error.message)
    chosen = fields.get("mode", options.mode)
    wanted = Wanted(columns_in(fields), options.set, options.ignore_extra, _key_only(chosen, dataset))
    return _table(head[:HEAD_BYTES], len(head) <= HEAD_BYTES, dataset, wanted, options, text)


def _sent_table(job: Job, header: bytes, catalog: Catalog) -> dict[str, Any]:
    """The table for a header, in UTF-8, of a file for this job; blocks. Raises as `stored_table`."""
    dataset = _dataset_of(job, catalog)
    said = job.options
    mode = said.mode or dataset.mode
    plain = Options(delimiter=said.delimiter, quote=said.quote, escape=said.escape)
    wanted = wanted_by(said, mode)
    if job.state != "DRAFT":
        plain, wanted = Options(), wanted_of_corrections(said, mode)
    shown = _table(header, True, dataset, wanted, plain, text_by(plain))
    if "told" in shown:
        shown["told"]["checks"] = checks_of(dataset, mode, keeps=said.empty != "clear")
    return shown


def _dataset_of(job: Job, catalog: Catalog) -> Dataset:
    dataset = catalog.datasets.get(job.dataset)
    if dataset is None:
        raise ApiError(404, f"there is no dataset {job.dataset} here any more")
    return dataset


def _table(head: bytes, whole: bool, dataset: Dataset, wanted: Wanted, options: Options, text: Text) -> dict[str, Any]:
    try:
        found = beginning(head, whole, text)
        if not found.enough and not found.text.strip():
            return _unknown(_FURTHER)
        header = look_at_header(found.text[:HEAD_BYTES], found.whole, dataset, wanted, layout_by(options))
    except CsvFileError as error:
        return _refused(str(error))
    except ApiError as error:
        return _refused(error.message)
    if header.match.problem == UNENDED and not found.enough:
        return _unknown(_FURTHER)
    if header.match.broken:
        return _refused(str(header.match.problem))
    return {"fields": dataset.columns, **_shown(header, found.text, dataset, wanted)}


def _key_only(asked: str | None, dataset: Dataset) -> bool:
    """Whether a file may leave out all fields but those of the key, in the mode that was chosen."""
    chosen = next((mode for mode in dataset.modes if mode == asked), dataset.mode)
    return dataset.key_scope == "organisation" and needs_key_only(chosen)


def _unknown(note: str) -> dict[str, Any]:
    return {"note": note, "problem": None, "rows": [], "missing": []}


def _refused(problem: str) -> dict[str, Any]:
    return {"problem": problem, "rows": [], "missing": []}


def _shown(header: Header, head: bytes, dataset: Dataset, wanted: Wanted) -> dict[str, Any]:
    match = header.match
    shown = min(len(match.names), _SHOWN)
    columns = zip(match.names[:shown], match.fields[:shown], _samples(header, head, shown), strict=True)
    rows = [
        Row(
            name=name,
            samples=[_short(text) for text in samples if text],
            field="" if field in ERROR_COLUMNS else field,
            decided=field != PASSED_OVER or name in wanted.columns,
            asked=field not in ERROR_COLUMNS,
        )
        for name, field, samples in columns
    ]
    given = {*match.fields, *match.missing}
    filled = {field.name: _default(field.default) for field in dataset.fields if field.name not in given}
    # The table shows this column in red already: no sentence is needed.
    seen = match.missing or not all(row.decided for row in rows)
    return {
        "rows": rows,
        "told": {
            "delimiter": header.delimiter.decode(),
            "names": match.names,
            "fields": ["" if field in ERROR_COLUMNS else field for field in match.fields],
            "decided": [
                field != PASSED_OVER or name in wanted.columns or wanted.ignore_extra
                for name, field in zip(match.names, match.fields, strict=True)
            ],
            "dataset": dataset.columns,
            "missing": match.missing,
            "filled": filled,
        },
        "more": len(match.names) - shown,
        "problem": None if seen else match.problem,
        "missing": match.missing,
        "filled": filled.items(),
    }


def _short(text: str) -> str:
    return text if len(text) <= _SAMPLE_CHARACTERS else f"{text[:_SAMPLE_CHARACTERS]}..."


def _default(default: str | UploadTime | None) -> str:
    return "the time of the upload" if isinstance(default, UploadTime) else repr(default or "")


def _samples(header: Header, head: bytes, columns: int) -> list[list[str]]:
    """The first values of each column."""
    chunks = iter([head[header.end.bytes :]])
    try:
        blocks = cut(chunks, header.end, header.delimiter, Limits(_SAMPLES, len(head) + 1))
        found = next((block for block in blocks if block is not None), None)
    except CsvFileError:
        found = None
    rows = _rows.decode(found.rows_json) if found else []
    return [[row[place] for row in rows if place < len(row)] for place in range(columns)]


async def _received(request: Request) -> tuple[Mapping[str, str], bytes]:
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise no_form()
    found: dict[str, bytes] = {}

    def begin(name: str, _filename: str | None) -> TextPart:
        return TextPart(name, partial(found.__setitem__, name[:80]), _MOST_BYTES)

    await receive_parts(_bounded(request.stream()), boundary, begin)
    head = found.pop("file", b"")
    return {name: data.decode("utf-8", "replace") for name, data in found.items()}, head


async def _bounded(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > _MOST_BYTES:
            raise ApiError(413, f"the beginning of a file has at most {HEAD_BYTES} bytes")
        yield chunk
