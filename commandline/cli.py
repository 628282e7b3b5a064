"""The client's commands, to be mounted into the ``sluice`` command."""

from __future__ import annotations

import typer

from commandline.commands import (
    actions,
    create,
    dry_runs,
    keys,
    limits,
    mappings,
    purging,
    queries,
    retry_errors,
    row_errors,
    top,
    webhooks,
)
from runtime.text.sentences import Sentences

app = typer.Typer(cls=Sentences, pretty_exceptions_enable=False, add_completion=False)
for _module in (
    create,
    dry_runs,
    retry_errors,
    mappings,
    row_errors,
    queries,
    limits,
    top,
    actions,
    purging,
    keys,
    webhooks,
):
    app.add_typer(_module.app)
