"""A request for a job as a struct, and the command that it stands for. Pure.

`control/creation/admission.py` has its rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec.structs import replace

from api.errors import ApiError, invalid, refused
from api.jobs.creation.options_body import options_body_as
from api.jobs.creation.origins import Kind as OriginKind
from api.jobs.creation.origins import origin
from api.jobs.reading.times import time_in
from api.mappings import Mappings
from api.models.requests import Elsewhere, JobRequest
from api.uploads.allowance import Allowance
from api.uploads.import_folders import Seen
from api.web.auth import Caller
from control.creation.admission import Catalog, Kind, creation_problem, write_mode
from control.creation.quotas import Usage, draft_problem, header_problem, place_problem, size_problem
from control.creation.repeats import differences
from control.timers import time_problem
from csvfile.columns import Wanted, wanted_by
from csvfile.errors import CsvFileError
from csvfile.header import Header, look_at_header
from csvfile.layout import format_of, layout_by
from csvfile.text.encodings import another_encoding
from runtime.clock import now_ms
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.expectations import fields_in_words
from schemas.job import Job, Options, Source
from schemas.messages.commands import CreateJob

HOW_TO_SEND = (
    "send multipart/form-data with a part 'job' (JSON) and a part 'file', or name a file of the server "
    '(file), or say source: "topic", or source: {"job": ID} to read the file of another job again'
)


def require_known(job: Job, catalog: Catalog) -> Dataset:
    """The dataset of a job that was made before: it may have been removed since, as may its operation.

    Raises:
        ApiError: 409, one of them is not there any more.
    """
    for what, name, known in (
        ("operation", job.operation, job.operation in catalog.operations),
        ("dataset", job.dataset, job.dataset in catalog.datasets),
    ):
        if not known:
            text = f"the {what} {name!r} of job {job.id} is not known any more; give it back to the processes, then ask"
            raise ApiError(409, f"{text} again", {what: name, "job_id": job.id})
    return catalog.datasets[job.dataset]


def request_in(data: bytes) -> tuple[JobRequest, frozenset[str]]:
    """The request for a new job in a JSON body, and the names of the options that it says.

    Raises:
        ApiError: as `options_body_as`.
    """
    if not data.strip():
        raise invalid(f"the request is empty; send a JSON object with the {fields_in_words(JobRequest)}")
    return options_body_as(data, JobRequest)


@dataclass(frozen=True, slots=True)
class Admission:
    """Turns a request for a new job into the command that makes it."""

    job_id: str
    caller: Caller
    catalog: Catalog
    made: Job | None = None
    """The job that a request of the same key has made before."""
    mappings: Mappings | None = None
    told: Callable[[Options, str], Awaitable[None]] | None = None
    """Requires that the options name an address, or a webhook of this organisation, that can be told. It raises
    ApiError 400."""
    usage: Callable[[str], Usage] = lambda _: Usage()
    """What an organisation uses now."""

    async def resolved(self, asked: JobRequest) -> JobRequest:
        """The request with what its mapping says, if it names one. Raises as `Mappings.resolved` and `told`."""
        if asked.options.notify is not None and self.told is not None and self.made is None:
            await self.told(asked.options, self._own(asked))
        if asked.options.mapping is None or self.mappings is None:
            return asked
        kind = self.catalog.operations.get(asked.operation or "")
        dataset = asked.dataset or (kind.dataset if kind is not None else None)
        organisation = self._own(asked)
        return replace(asked, options=await self.mappings.resolved(asked.options, organisation, dataset, self.made))

    def origin(self, kind: OriginKind, name: str) -> str | None:
        """The origin of the job's file; None: the job that the same request has made records none, as an older version
        has made it, or its file came along."""
        if self.made is not None and self.made.source.origin is None:
            return None
        return origin(self.job_id, kind, name)

    def repeated(self, command: CreateJob) -> CreateJob | None:
        """The command with the file of the job that the same request has made, whatever lies at its place by now; None:
        there is no such job, or it does not say.

        Raises:
            ApiError: 422, that job's file is of another place.
        """
        if self.made is None or command.source.origin is None:
            return None
        repeated = replace(command, source=self.made.source)
        if self.made.source.origin != command.source.origin:
            elsewhere = replace(self.made.source, origin=command.source.origin)
            problem = repeat_problem(self.made, replace(command, source=elsewhere))
            if problem is not None:
                raise problem
        return repeated

    def command(self, asked: JobRequest, sent: Source | None) -> CreateJob:
        """The command; `sent` is the file that comes along, None where none does.

        Raises:
            ApiError: 400, with what to change and the values that are allowed; 403, the organisation is not the
                caller's; 413 or 429, it may have no such job, or no more of them.
        """
        if asked.operation is None:
            raise invalid(f"operation is missing; use one of {', '.join(sorted(self.catalog.operations))}")
        kind = self.catalog.operations.get(asked.operation)
        command = CreateJob(
            job_id=self.job_id,
            by=self.caller.name,
            reason=asked.reason,
            operation=asked.operation,
            dataset=asked.dataset if asked.dataset is not None else (kind and kind.dataset) or "",
            organisation=self._organisation(asked),
            source=_source(asked, sent, kind),
            options=asked.options,
            date_from=asked.date_from,
            date_till=asked.date_till,
            start_at=time_in("start_at", asked.start_at),
            draft=_draft_of(asked) is not None,
        )
        late = time_problem(command, self.made, now_ms())
        if late is not None:
            raise invalid(late)
        problem = creation_problem(command, self.catalog)
        if problem is not None:
            raise refused(problem)
        if not self.caller.may_see(command.organisation):
            text = f"this API key may not act for organisation {command.organisation}"
            raise ApiError(403, text, {"organisation": command.organisation})
        if self.made is None:
            queueing = command.options.if_busy == "queue"
            usage, quotas = self.usage(command.organisation), self.catalog.quotas.of(command.organisation)
            full = place_problem(command.source, usage, command.organisation, quotas, queueing=queueing)
            if command.draft:
                full = draft_problem(usage, command.organisation, quotas) or full
            if full is not None:
                raise refused(full)
        return command

    def allowance(self, command: CreateJob) -> Allowance:
        """The limits of the file of this command."""
        quotas = self.catalog.quotas.of(command.organisation)
        usage = Usage() if self.made is not None else self.usage(command.organisation)
        return Allowance.of(command.organisation, quotas, usage)

    def require_size(self, command: CreateJob, source: Source) -> None:
        """Raises ApiError 413 if a file of the server is too large for the organisation."""
        problem = size_problem(source, command.organisation, self.catalog.quotas.of(command.organisation))
        if problem is not None:
            raise refused(problem)

    def _own(self, asked: JobRequest) -> str:
        """The organisation, which is one of the caller's. Raises ApiError 403."""
        organisation = self._organisation(asked)
        if not self.caller.may_see(organisation):
            text = f"this API key may not act for organisation {organisation}"
            raise ApiError(403, text, {"organisation": organisation})
        return organisation

    def _organisation(self, asked: JobRequest) -> str:
        if asked.organisation is not None:
            return asked.organisation
        return self.caller.own_organisation or "default"

    def look(self, command: CreateJob, head: bytes, whole: bool) -> Seen:
        """What the job records of its file, from its first bytes; `whole`: these are all it has.

        A repeat of the request that made a job follows what was decided then.

        Raises:
            ApiError: 400, the file does not fit the job's dataset; 413, its columns are too many, or too long.
        """
        dataset = self.catalog.datasets[command.dataset]
        layout = layout_by(command.options)
        try:
            if self.made is not None and self.made.source.columns is not None:
                header = look_at_header(head, whole, dataset, Wanted(recorded=self.made.source.columns), layout)
                if header.match.problem is None:
                    return _seen(header, command.options)
            mode = write_mode(command, self.catalog.operations[command.operation], dataset)
            header = look_at_header(head, whole, dataset, wanted_by(command.options, mode), layout)
            names, organisation = header.match.names, command.organisation
            too_wide = header_problem(names, organisation, self.catalog.quotas.of(organisation))
            if too_wide is not None:
                raise refused(too_wide)
            if header.match.problem is not None:
                raise CsvFileError(header.match.problem)
            if self.made is None and command.options.encoding is None:
                _require_utf8(head, whole)
            return _seen(header, command.options)
        except CsvFileError as error:
            raise invalid(str(error), dataset=dataset.name, expected=list(dataset.columns)) from error


def _require_utf8(head: bytes, whole: bool) -> None:
    problem = another_encoding(head, whole)
    if problem is not None:
        raise CsvFileError(problem)


def _seen(header: Header, options: Options) -> Seen:
    return Seen(header.match.recorded, format_of(options, header.delimiter))


def _draft_of(asked: JobRequest) -> Source | None:
    """The file that is to come in parts; None: there is none."""
    match asked.source:
        case "upload":
            return Source(kind="file")
        case Elsewhere(job=None, url=None, upload=str() as name):
            return Source(kind="file", name=name[-255:] or None, bytes=asked.source.bytes)
        case _:
            return None


def _source(asked: JobRequest, sent: Source | None, kind: Kind | None) -> Source:
    """Where the rows come from: a request says so by the file that it brings, by `file` or by `source`."""
    draft = _draft_of(asked)
    if isinstance(asked.source, Elsewhere) and sent is None and draft is None:
        raise invalid(
            "source names one thing to read: job, the id of a job whose file is read again; url, an address; or "
            "upload, the name of a file that comes in parts, with which bytes may say its size"
        )
    if not isinstance(asked.source, Elsewhere) and asked.source not in (None, "topic", "file", "upload"):
        raise invalid(f'source {asked.source!r} is not known; send a file, or say "topic"')
    named = None if asked.file is None else Source(kind="file", path=asked.file)
    other = draft or (Source(kind="topic") if asked.source not in (None, "file") else None)
    elsewhere = kind is None or kind.sources == {"query"}  # the rules have the words for what is given all the same
    match [source for source in (sent, named, other) if source is not None]:
        case [source, *others] if elsewhere or not others:
            return source
        case [] if elsewhere:
            return Source(kind="file" if asked.source else "query")
        case []:
            raise invalid(f"the job has no rows to read: {HOW_TO_SEND}")
        case _:
            raise invalid(
                "a job reads its rows from one place: a file that is sent along, a file of the server (file), "
                'or the inbox (source: "topic"); leave out the others'
            )


def repeat_problem(job: Job, command: CreateJob) -> ApiError | None:
    """Why this can't be the repeat of the request that made `job`; None: it is one."""
    different = differences(job, command)
    if not different:
        return None
    return ApiError(
        422,
        f"this Idempotency-Key made job {job.id} already, with another {', '.join(different)}; "
        f"use a new key for a new job",
        {"job_id": job.id},
    )
