"""`sluice kibana`: imports the dashboards into Kibana, or writes them to a file.

What it needs is imported when the command runs: `sluice` mounts this module at every start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def kibana(
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Import nothing, but write a file for Kibana's own import; - is standard output.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Import the dashboards of jobs, progress and row errors into Kibana."""
    from runtime.settings import settings

    if output is not None:
        _write(output, settings().prefix)
    else:
        _import(as_json)


def _import(as_json: bool) -> None:
    import msgspec

    from kibana.answers import failure
    from kibana.importing import import_objects
    from runtime.settings import settings
    from runtime.text.terminal import out, out_json

    done = import_objects(settings())
    if as_json:
        out_json(msgspec.to_builtins(done))
    if done.errors:
        raise failure(done.errors)
    if not as_json:
        out(f"{done.imported} objects are in Kibana at {done.url}:")
        for title, address in done.dashboards.items():
            out(f"  {title}  {address}")


def _write(file: str, prefix: str) -> None:
    from kibana.catalog import text
    from kibana.errors import KibanaError
    from runtime.text.terminal import say, write_line

    if file == "-":
        write_line(text(prefix).removesuffix("\n"))
        return
    path = Path(file)
    try:
        path.write_text(text(prefix), encoding="utf-8")
    except OSError as error:
        raise KibanaError(f"{path} can't be written: {error.strerror}") from error
    say(f"Written: {path}")
