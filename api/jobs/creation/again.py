"""A new job of the stored file of another one, with other options."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from api.errors import ApiError
from api.jobs.reading.queries import records_of
from api.jobs.reading.stored_file import Standing, standing
from api.models.requests import JobRequest
from api.uploads.conversion import plain
from api.uploads.import_folders import Look, Seen
from api.uploads.upload import Upload
from api.web.services import Services
from control.creation.repeats import differences
from csvfile.header import HEAD_BYTES
from csvfile.layout import Text, text_by
from schemas.job import COLUMN_OPTIONS, Format, Job, Options, Source
from schemas.messages.commands import CreateJob
from schemas.messages.events import JobEvent

_ANEW: Final = ("dry_run", "if_busy", "if_same")
"""Options that count only if they are given."""


def asked_again(asked: JobRequest, given: frozenset[str], earlier: Job) -> JobRequest:
    """The request, with everything that it does not say taken from `earlier`; `given`: names of the options that it
    says.

    Raises:
        ApiError: 409, `earlier` has no file.
    """
    require_file(earlier)
    if not given.isdisjoint(COLUMN_OPTIONS):
        # A mapping, and what was said of columns besides, belong together.
        given |= {"mapping"} if "mapping" not in given else set(COLUMN_OPTIONS)
    names = [name for name in Options.__struct_fields__ if name in given or name in _ANEW]
    return replace(
        asked,
        operation=asked.operation or earlier.operation,
        dataset=asked.dataset or earlier.dataset,
        organisation=asked.organisation or earlier.organisation,
        options=replace(earlier.options, **{name: getattr(asked.options, name) for name in names}),
        source=None,
    )


async def first_rate(services: Services, made: Job, repeat: CreateJob) -> CreateJob:
    """The repeat of a request that says no rate, with the rate that `made` has taken over: both jobs may have been
    given another one since. As it is, if it is another request.

    Raises:
        ApiError: 503, Kafka does not answer.
    """

    def with_rate(job: Job) -> CreateJob:
        return replace(repeat, options=replace(repeat.options, rows_per_second=job.options.rows_per_second))

    def found(candidates: Iterable[CreateJob]) -> CreateJob | None:
        return next((one for one in candidates if not differences(made, one)), None)

    answer = found((repeat, with_rate(made)))
    if answer is None:  # the history has the job as it was made
        records = await records_of(services, made)
        answer = found(with_rate(record.job) for record in records if isinstance(record, JobEvent))
    return answer or repeat


def require_file(earlier: Job) -> None:
    """Require that a job has a file that can be read again.

    Raises:
        ApiError: 409, it has none.
    """
    if earlier.source.kind != "file":
        came = "made its rows from a query" if earlier.source.kind == "query" else "had its rows from the inbox"
        raise ApiError(409, f"job {earlier.id} {came}, so there is no file to read again", {"job_id": earlier.id})
    if earlier.source.sha256 is None:
        text = f"job {earlier.id} has no file that is complete; send it as a new job"
        raise ApiError(409, text, {"job_id": earlier.id})


def stored_again(
    earlier: Job, options: Options, root: Path, upload: Upload, look: Look, stop: threading.Event
) -> Source | None:
    """The file of `earlier` as the source of a job with these options, in its place; None: another one was made of it,
    into `upload`. Blocks.

    Raises:
        ApiError: 410, it is gone; 409, it has changed, or can't be read with these options; and what `look` raises.
    """
    source = earlier.source
    path = stored_path(earlier, root)
    text = text_left(earlier, options)
    with path.open("rb", buffering=0) as file:
        head = file.read(HEAD_BYTES)
        if not plain(head, text):
            file.seek(0)
            upload.expect(text)
            upload.convert(source.name or path.name, file, look, stop)
            return None
    seen = look(head, (source.bytes or 0) <= HEAD_BYTES)
    return replace(source, columns=seen.columns, format=_format(seen, source.format))


def stored_path(earlier: Job, root: Path) -> Path:
    """Where the file of a job lies; blocks.

    Raises:
        ApiError: 410, it is gone; 409, it has changed.
    """
    found = standing(earlier.source, root)
    if found is Standing.GONE:
        raise ApiError(410, f"the file of job {earlier.id} is not on the server any more: send it again", _of(earlier))
    if found is Standing.CHANGED:
        raise ApiError(409, f"the file of job {earlier.id} has changed since: send it again", _of(earlier))
    return root / (earlier.source.path or "")  # an absolute path replaces the root


def text_left(earlier: Job, options: Options) -> Text:
    """How the stored text is to be read: it may have been made of another one.

    Raises:
        ApiError: 409, what was made of the file can't be undone.
    """
    recorded, wanted = earlier.source.format, text_by(options)
    if recorded is None or recorded.sha256 is None:
        return wanted
    had = Text(recorded.encoding, text_by(earlier.options).quoting)
    encoding = None if wanted.encoding == had.encoding else wanted.encoding
    quoting = None if wanted.quoting == had.quoting else wanted.quoting
    redone = encoding is not None and had.encoding is not None
    if redone or (had.quoting is not None and wanted.quoting != had.quoting):
        what = "encoding" if redone else "quote, escape or delimiter"
        text = f"job {earlier.id} has read its file with another {what}, and has kept the converted file alone"
        raise ApiError(409, f"{text}: send the file again", _of(earlier))
    return Text(encoding, quoting)


def _format(seen: Seen, before: Format | None) -> Format | None:
    if before is None or before.sha256 is None:
        return seen.format
    return replace(
        seen.format or Format(),
        bytes=before.bytes,
        sha256=before.sha256,
        compression=before.compression,
        encoding=before.encoding,
    )


def _of(job: Job) -> dict[str, str | None]:
    return {"job_id": job.id, "source": job.source.name}
