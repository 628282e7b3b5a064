"""The client's commands, to be mounted into the ``sluice`` command."""

from __future__ import annotations

import typer

from api.client import acting, again, looking, starting
from runtime.sentences import Sentences

app = typer.Typer(cls=Sentences, pretty_exceptions_enable=False, add_completion=False)
for _commands in (starting, again, looking, acting):
    app.add_typer(_commands.app)
