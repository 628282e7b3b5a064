"""Commands of mappings that an organisation keeps under a name: which column of its files is which."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commandline import arguments
from commandline.errors import plain_errors, usage
from commandline.parameters import AsJson
from schemas.ids import mapping_name_problem

app = typer.Typer()
_group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
app.add_typer(_group, name="mappings", help="List, save and delete mappings of columns that an organisation keeps.")

Organisation = Annotated[str | None, typer.Option(help="Whose; left out: the key's own, or `default`.")]
Name = Annotated[str, typer.Argument(help="The mapping's name.")]


@_group.callback(invoke_without_command=True)
@plain_errors
def list_mappings(context: typer.Context, organisation: Organisation = None, as_json: AsJson = False) -> None:
    """List the mappings of an organisation."""
    from client.requests import administration
    from commandline.connection import Api
    from commandline.view.output import out, print_json

    if context.invoked_subcommand is not None:
        return
    found = Api().json(administration.mappings(organisation))["mappings"]
    if as_json:
        print_json(found)
        return
    for mapping in found:
        out(_line(mapping))
    if not found:
        out(f"{_whose(organisation)} has no mappings; `sluice mappings save NAME` keeps one.")


@_group.command()
@plain_errors
def save(
    name: Name,
    dataset: Annotated[str | None, typer.Option(help="What the rows are.")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="Which field a column is; COLUMN= passes over it."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=TEXT", help="A field that has the same text in every row."),
    ] = None,
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Pass over columns that are no field's.")
    ] = False,
    from_job: Annotated[
        str | None, typer.Option("--from-job", metavar="ID", help="Take the dataset and columns of this job.")
    ] = None,
    organisation: Organisation = None,
    as_json: AsJson = False,
) -> None:
    """Keep a mapping under a name, in place of one that has it."""
    from client.requests.administration import save_mapping
    from commandline.connection import Api
    from commandline.view.output import out, print_json

    api = Api()
    body: dict[str, Any] = {"dataset": dataset, "columns": {}, "set": {}, "ignore_extra": ignore_extra}
    if from_job is not None:
        job = api.job(from_job)
        body["dataset"] = dataset or job["dataset"]
        body |= {key: job["options"][key] for key in ("columns", "set", "ignore_extra") if key in job["options"]}
    body["columns"] |= arguments.columns(map_ or [])
    body["set"] |= arguments.constants(set_ or [])
    if body["dataset"] is None:
        raise usage("say what the rows are with --dataset, or take all of it from a job with --from-job")
    kept = api.json(save_mapping(_path(name), **body, organisation=organisation), look="`sluice mappings`")
    if as_json:
        print_json(kept)
    else:
        out(f"Kept for organisation {kept['organisation']}: {_line(kept)}")


@_group.command()
@plain_errors
def delete(name: Name, organisation: Organisation = None) -> None:
    """Forget a mapping; jobs that it was used for have what it said."""
    from client.requests.administration import remove_mapping
    from commandline.connection import Api
    from commandline.view.output import out

    Api().json(remove_mapping(_path(name), organisation=organisation), look="`sluice mappings`")
    out(f"{_whose(organisation)} has no mapping {name}.")


def _whose(organisation: str | None) -> str:
    return "Your organisation" if organisation is None else f"Organisation {organisation}"


def _path(name: str) -> str:
    problem = mapping_name_problem(name)
    if problem is not None:
        raise usage(problem)
    return name


def _line(mapping: dict[str, Any]) -> str:
    columns = [
        f"{name} is {field}" if field else f"{name} is passed over" for name, field in mapping["columns"].items()
    ]
    columns += [f"{field} is {text!r} in every row" for field, text in mapping["set"].items()]
    columns += ["other columns are passed over"] if mapping["ignore_extra"] else []
    return f"{mapping['name']}, for {mapping['dataset']}: {'; '.join(columns) or 'nothing but names'}"
