"""Parameters of commands that make jobs, each of which stands here once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from commandline import arguments
from commandline.parameters import Notify, Reason, StartAt, Wait

Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="Which field a column of the file is; COLUMN= passes over it."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=TEXT", help="A field that has the same text in every row.")
]
MappingName = Annotated[
    str | None,
    typer.Option("--mapping", metavar="NAME", help="Columns as this mapping has them, see `sluice mappings`."),
]
IgnoreExtra = Annotated[bool, typer.Option("--ignore-extra", help="Pass over columns that are no field's.")]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="The file's encoding, such as cp1252, if it is not UTF-8.")
]
Delimiter = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="Between values: a character, or comma, semicolon, tab, pipe."),
]
SkipLines = Annotated[int, typer.Option(metavar="N", min=0, help="Lines in front of the header to pass over.")]
Comment = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="Pass over lines in front of the header that begin with this character."),
]
Quote = Annotated[
    str | None, typer.Option(metavar="SIGN", help="What values are quoted with: a character, or single, double, none.")
]
Escape = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="A character, or backslash: the character behind it is part of the value."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every row, write nothing.")]
MaxErrors = Annotated[
    str | None, typer.Option(metavar="N|N%", help="Row errors, or a share of the rows, at which the job pauses itself.")
]
Suspicions = Annotated[
    str | None,
    typer.Option(
        metavar="pause|note|off",
        help="When the first rows look like an accident: pause before one is written, note it, or do not look. "
        "Without it: pause where the organisation has 1,000 rows to compare with, else note.",
        show_default=False,
    ),
]
Rate = Annotated[
    float | None, typer.Option(parser=arguments.rate, metavar="N", help="Rows applied per second, at most.")
]
IfBusy = Annotated[str, typer.Option(metavar="refuse|queue", help="When another job has the data: refuse, or queue.")]
IfSame = Annotated[
    str,
    typer.Option(metavar="refuse|allow", help="When a job has applied this file before: refuse, or apply it again."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the job as JSON, and nothing else.")]
Key = Annotated[str | None, typer.Option(metavar="TEXT", help="A repeat with the same key returns the first job.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileParameters:
    """How the columns of a file are read, and how its rows are applied."""

    map_: Map = None
    set_: Set = None
    mapping: MappingName = None
    ignore_extra: IgnoreExtra = False
    encoding: Encoding = None
    delimiter: Delimiter = None
    skip_lines: SkipLines = 0
    comment: Comment = None
    quote: Quote = None
    escape: Escape = None
    dry_run: DryRun = False
    max_errors: MaxErrors = None
    suspicions: Suspicions = None
    rate: Rate = None
    notify: Notify = None
    if_busy: IfBusy = "refuse"
    if_same: IfSame = "refuse"

    def options(self) -> dict[str, Any]:
        """The options of the job, as the API takes them.

        Raises:
            ClientError: what is said of columns can't be read.
        """
        given = {
            "columns": arguments.columns(self.map_ or []),
            "set": arguments.constants(self.set_ or []),
            "mapping": self.mapping,
            "ignore_extra": self.ignore_extra,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "skip_lines": self.skip_lines,
            "comment": self.comment,
            "quote": self.quote,
            "escape": self.escape,
        }
        applied = options_of(
            self.dry_run,
            self.max_errors,
            self.rate,
            self.if_busy,
            self.if_same,
            suspicions=self.suspicions,
            notify=self.notify,
        )
        return applied | {name: value for name, value in given.items() if value not in (None, False, 0, {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class StartParameters:
    """When a job starts and why, and whether the command waits for its end."""

    wait: Wait = False
    as_json: AsJson = False
    idempotency_key: Key = None
    start_at: StartAt = None
    reason: Reason = None

    def why_and_when(self) -> dict[str, Any]:
        """Two fields of the job, as the API takes them.

        Raises:
            ClientError: the time can't be read.
        """
        return {"reason": self.reason, "start_at": arguments.when(self.start_at)}


def options_of(
    dry_run: bool,
    max_errors: str | None,
    rate: float | None,
    if_busy: str | None,
    if_same: str | None = None,
    *,
    raw: bool = False,
    suspicions: str | None = None,
    notify: str | None = None,
) -> dict[str, Any]:
    """The options of a job that are given, as the API takes them."""
    given = {"max_errors": arguments.row_errors(max_errors), "rows_per_second": rate, "if_busy": if_busy}
    given |= {"if_same": if_same, "suspicions": suspicions, "notify": notify}
    return {
        "dry_run": dry_run,
        **({"raw": True} if raw else {}),
        **{name: value for name, value in given.items() if value is not None},
    }
