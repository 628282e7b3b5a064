"""The command that shows limits."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.errors import plain_errors
from commandline.parameters import AsJson

app = typer.Typer()


@app.command()
@plain_errors
def limits(
    organisation: Annotated[
        str | None, typer.Option(help="The organisation; left out: your own, or `default`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an organisation may use, and what it uses."""
    from client.requests import administration
    from commandline.connection import Api
    from commandline.view.output import out, print_json, show_limits

    found = Api().json(administration.limits(organisation or None))
    if as_json:
        print_json(found)
        return
    out(f"Organisation {found['organisation']}, weight {found['weight']:g}")
    show_limits(found["limits"])
