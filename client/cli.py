"""The client's commands, to be mounted into the ``sluice`` command."""

from __future__ import annotations

import typer

from client import actions as acting
from client import create as starting
from client import queries as looking
from client import retries as again
from runtime.sentences import Sentences

app = typer.Typer(cls=Sentences, pretty_exceptions_enable=False, add_completion=False)
for _commands in (starting, again, looking, acting):
    app.add_typer(_commands.app)
