"""`sluice kibana`: imports the dashboards into Kibana, or writes them to a file.

What it needs is imported when the command runs: `sluice` mounts this module at every start.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def kibana(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Import nothing, but write a file for Kibana's own import."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Import the dashboards of jobs, progress and row errors into Kibana."""
    from kibana.errors import KibanaError
    from runtime.settings import settings

    try:
        if output is not None:
            _write(output, settings().prefix)
        else:
            _import(as_json)
    except KibanaError as error:
        print(f"sluice: {error.message}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


def _import(as_json: bool) -> None:
    import msgspec

    from kibana.answers import failure
    from kibana.importing import import_objects
    from runtime.settings import settings

    done = import_objects(settings())
    if as_json:
        print(json.dumps(msgspec.to_builtins(done), indent=2, ensure_ascii=False))
    if done.errors:
        raise failure(done.errors)
    if not as_json:
        print(f"{done.imported} objects are in Kibana at {done.url}:")
        for title, address in done.dashboards.items():
            print(f"  {title}  {address}")


def _write(path: Path, prefix: str) -> None:
    from kibana.catalog import text
    from kibana.errors import USAGE, KibanaError

    try:
        path.write_text(text(prefix), encoding="utf-8")
    except OSError as error:
        raise KibanaError(f"{path} can't be written: {error.strerror}", USAGE) from error
    print(f"Written: {path}", file=sys.stderr)
