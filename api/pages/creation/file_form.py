"""A page's form with a file: the fields first, then the file."""

from __future__ import annotations

from collections.abc import Callable

from api.errors import ApiError, invalid
from api.jobs.creation.job_form import JobForm
from api.jobs.creation.job_request import Admission
from api.models.requests import Elsewhere, JobRequest
from api.pages.creation.forms import Fields
from api.uploads.receiving import MOST_FIELDS, MOST_JSON_BYTES, Part, TextPart, no_file_chosen
from api.uploads.upload import Upload

JobRequestOf = Callable[[Fields], JobRequest]
"""Turns a form's fields into the request for the job; raises ApiError to refuse them."""


class FileForm(JobForm):
    """Fields of any name; as soon as the file begins, `job_request_of` turns them into the request for the job."""

    def __init__(self, admission: Admission, upload: Upload, job_request_of: JobRequestOf) -> None:
        super().__init__(admission, upload)
        self._job_request_of = job_request_of
        self._fields: dict[str, str] = {}

    def begin(self, name: str, filename: str | None) -> Part:
        """The sink of a part that begins. Raises as `JobForm.begin`, and if no file was chosen."""
        if name == "file":
            if self.asked is None:
                self.asked = self._job_request_of(self._fields)
            address = isinstance(self.asked.source, Elsewhere)
            if address and filename:
                raise invalid("give the address of a file, or choose one; not both")
            if address:
                return TextPart(name, lambda _: None, 0)
            if not filename:
                raise no_file_chosen()
            return super().begin(name, filename)
        if self.upload.begun:
            raise invalid(f"the field {name[:80]!r} comes after the file; open the page anew and send it again")
        if len(self._fields) >= MOST_FIELDS:
            raise invalid(f"the form has more than {MOST_FIELDS} fields; open the page anew and send it again")

        def whole(data: bytes) -> None:
            self._fields[name[:80]] = data.decode("utf-8", "replace")

        return TextPart(name, whole, MOST_JSON_BYTES - sum(map(len, self._fields.values())))

    def nothing_asked(self) -> ApiError:
        """The refusal of a form without its file."""
        return no_file_chosen()
