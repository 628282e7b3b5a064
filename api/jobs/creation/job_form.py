"""The multipart form of a new job: its parts, and the command as soon as enough of them has come."""

from __future__ import annotations

from functools import partial

from api.errors import ApiError, invalid
from api.jobs.creation.job_request import Admission, request_in
from api.models.requests import JobRequest
from api.uploads.receiving import Part, TextPart
from api.uploads.upload import Upload
from csvfile.layout import text_by
from schemas.messages.commands import CreateJob


class JobForm:
    """The parts ``job`` (JSON) and ``file``, in whichever order they come.

    A job that is refused, or a file whose header is, ends the body there: it does not cost the rest of the upload.
    """

    def __init__(self, admission: Admission, upload: Upload, asked: JobRequest | None = None) -> None:
        """`asked`: what is known already; then there is no part ``job``."""
        self._admission = admission
        self._command: CreateJob | None = None
        self.upload = upload
        self.asked = asked
        self.given = frozenset[str]()
        """Names of the options that the part ``job`` says."""
        self._in_query = asked is not None

    def begin(self, name: str, filename: str | None) -> Part:
        """The sink of a part that begins.

        Raises:
            ApiError: 400, the form does not take a part of this name, or the parts so far do not describe a job.
        """
        match name:
            case "job" if self.asked is None:
                return JobPart(self)
            case "file" if not self.upload.begun:
                self.upload.begin(filename)
                return FilePart(self)
            case "job" if self._in_query:
                raise invalid("the job is in the query of the address; leave the part 'job' out, or the query")
            case "job" | "file":
                raise invalid(f"the part {name!r} comes twice; send it once")
            case _:
                raise invalid(f"the part {name[:80]!r} is not known; send one part 'job' (JSON) and one part 'file'")

    def end(self) -> CreateJob:
        """The command, once all parts have come.

        Raises:
            ApiError: 400, a part is missing, or the parts do not describe a job.
        """
        if self.asked is None:
            raise self.nothing_asked()
        return self._command or self._admission.command(self.asked, None)

    def nothing_asked(self) -> ApiError:
        """The refusal of a form that says nothing of a job."""
        return invalid("the part 'job' is missing; send the job's JSON in a part of this name")

    def said(self, data: bytes) -> None:
        """The part ``job`` is this. Raises ApiError 400."""
        self.asked, self.given = request_in(data)

    async def admit(self) -> None:
        """Make the command, once the job is said and the file has begun. Raises as `Admission.command`."""
        if self.asked is not None and self.upload.begun and self._command is None:
            self.asked = await self._admission.resolved(self.asked)
            self._command = self._admission.command(self.asked, self.upload.source())
            self.upload.allow(self._admission.allowance(self._command))
            self.upload.expect(text_by(self._command.options))
            self.upload.look_with(partial(self._admission.look, self._command))


class JobPart(TextPart):
    """The part ``job``."""

    def __init__(self, form: JobForm) -> None:
        super().__init__("job", form.said)
        self._form = form

    async def end(self) -> None:
        """The part is complete."""
        await super().end()
        await self._form.admit()


class FilePart:
    """The part ``file``: nothing of it is taken before the job is admitted, if that is said by then."""

    def __init__(self, form: JobForm) -> None:
        self._form = form

    async def take(self, data: bytes) -> None:
        """More of it. Raises as `Upload.take`, and `JobForm.admit`."""
        await self._form.admit()
        await self._form.upload.take(data)

    async def end(self) -> None:
        """The part is complete. Raises as `take`."""
        await self._form.admit()
        await self._form.upload.end()
