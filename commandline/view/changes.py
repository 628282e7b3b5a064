"""What a dry run would change, and what a rollback has done, in plain words and tables."""

from __future__ import annotations

from typing import Any

from commandline.view.output import out
from commandline.view.wording import Json
from runtime.text.formatting import number
from runtime.text.tables import Column, show


def show_changes(changes: Json | None, job: Json) -> None:
    """What a dry run would change."""
    if changes is None:
        out("Keys of this dataset do not reach further than the job: its rows are new documents, and change no others.")
        return
    counted = [f"{number(changes[name])} {name}" for name in ("new", "updated", "unchanged", "deleted")]
    out(f"Documents: {', '.join(counted)}.")
    out(f"Refused: {number(changes['conflicting'])} whose key exists, {number(changes['missing'])} whose key does not.")
    for name, count in changes["columns"].items():
        out(f"  {name}: {number(count)} values would change")
    if changes["first"]:
        out()
        out(f"The first {len(changes['first'])} changes:")
        columns = (
            Column("row", right=True), Column("change"), Column("key"), Column("column"), Column("before"),
            Column("after", fold=True),
        )  # fmt: skip
        show(columns, [line for change in changes["first"] for line in _lines(change)])
        out(f"`sluice changes {job['id']} --csv` writes them all.")
    out(f"`sluice start {job['id']}` makes the real job of it.")


def show_undone(page: Json) -> None:
    """What a rollback has done."""
    out(
        f"{number(page['restored'])} documents are as before the job, {number(page['kept'])} are left as others have "
        f"changed them since, {number(page['failed'])} could not be restored."
    )
    if page["rows"]:
        columns = (
            Column("row", right=True), Column("outcome"), Column("document", spare=1), Column("job", spare=2),
            Column("reason", fold=True),
        )  # fmt: skip
        rows = [
            (number(row["row"]), row["outcome"], row["document"] or "", row["job_id"] or "", row["reason"] or "")
            for row in page["rows"]
        ]
        show(columns, rows)
    if page["next"] is not None:
        out(f"There are more; `sluice undone {page['job_id']} --csv` writes them all.")


def _lines(change: Json) -> list[tuple[str, ...]]:
    """A line for each value that would change."""
    before, after = change["before"], change["after"]
    return [
        (number(change["row"]), change["kind"], ", ".join(change["key"]), name, _text(before, name), _text(after, name))
        for name in {**before, **after}
    ]


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value)
