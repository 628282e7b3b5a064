"""`sluice api|ingest|worker|migrate`: one role in the foreground, as an image runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from devstack import launch
from runtime.sentences import Sentences

app = typer.Typer(cls=Sentences, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def api() -> None:
    """Run the REST API in the foreground, until a signal stops it."""
    launch.run("api")


@app.command()
def ingest() -> None:
    """Run a reader of files and of the inbox in the foreground; several share the work."""
    launch.run("ingest")


@app.command()
def worker() -> None:
    """Run a worker in the foreground; several share the work."""
    launch.run("worker")


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False)
def migrate(args: Annotated[list[str] | None, typer.Argument(help="Its options; --help lists them.")] = None) -> None:
    """Make the topics and indices that are missing, say what differs, and end."""
    launch.run("migrate", args or [])
