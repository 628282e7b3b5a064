"""`sluice api|ingest|worker`: one role in the foreground, as an image runs it."""

from __future__ import annotations

import typer

from devstack.foreground.roles import become
from runtime.text.sentences import Sentences

app = typer.Typer(cls=Sentences, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def api() -> None:
    """Run the REST API in the foreground, until a signal stops it."""
    become("api")


@app.command()
def ingest() -> None:
    """Run a reader of files and of the inbox in the foreground; several share the work."""
    become("ingest")


@app.command()
def worker() -> None:
    """Run a worker in the foreground; several share the work."""
    become("worker")
