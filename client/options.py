"""Options of a job. Made by `python -m api.client_types`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class JobOptions(TypedDict, total=False):
    """How a job is to be run. What is left out is as the server has it."""

    dry_run: bool
    max_errors: int | str | None
    """Row errors that are too many: a number, or a percentage such as "5%"; None: no limit."""
    rows_per_second: float | None
    """Rows applied per second, at most; None: no limit."""
    if_busy: Literal["refuse", "queue"]
    if_same: Literal["refuse", "allow"]
    """What to do with a file that another job has applied for this organisation and dataset."""
    raw: bool
    """Cells are taken and written as they are: no apostrophe before what a spreadsheet would take for a
    formula.
    """
    mapping: str | None
    """The name of a mapping that the organisation keeps: its columns, set and ignore_extra."""
    mode: Literal["create", "upsert", "replace", "update", "delete"] | None
    """What becomes of documents that the rows' keys name; null: the dataset's own mode."""
    empty: Literal["keep", "clear"]
    """What an empty cell does to a value of a document that exists, in the modes upsert and update."""
    columns: dict[str, str | None]
    """Column of the file -> field; null: the column is passed over. Others are matched by their names."""
    set: dict[str, str]
    """Field -> the text that it has in every row, as a file would have it; the file has no column for it then."""
    ignore_extra: bool
    """Columns of the file that are no field's are passed over."""
    encoding: str | None
    """The file's encoding, as Python calls it, such as cp1252; null: UTF-8, or what its byte order mark says."""
    delimiter: str | None
    """A character, or comma, semicolon, tab or pipe; null: the one of these four with which the header fits
    best.
    """
    skip_lines: int
    """Lines in front of the header that are passed over."""
    comment: str | None
    """A character, or its name: lines in front of the header that begin with it are passed over."""
    quote: str | None
    """A character, or single, double or none; null: double. Within quotes a doubled one stands for one."""
    escape: str | None
    """A character, or backslash: a delimiter, quote or line end behind it is part of the value; null: none."""
    suspicions: Literal["pause", "note", "off"] | None
    """What becomes of a file whose first rows look like an accident; null: it pauses the job before its first
    row is written where the organisation has 1,000 rows to compare with, and is noted elsewhere.
    """
    notify: str | None
    """An address, or the name of a webhook of the organisation, that is told when the job stops: when it is
    over, has failed, or is paused.
    """
