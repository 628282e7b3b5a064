"""`sluice keys`: who may call the API, and as what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commandline.arguments import one_of
from commandline.errors import plain_errors, usage
from commandline.parameters import AsJson
from runtime.text.sentences import Sentences

app = typer.Typer()
keys = typer.Typer(cls=Sentences, help="Make, list and revoke keys.", no_args_is_help=True)
app.add_typer(keys, name="keys")

ROLES = ("viewer", "operator", "admin")
KINDS = ("person", "service")


@keys.command()
@plain_errors
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person or service, as the history shows it.")],
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")],
    organisation: Annotated[
        list[str] | None,
        typer.Option(metavar="ORG", help="An organisation that the key is for; may be repeated.", show_default=False),
    ] = None,
    all_organisations: Annotated[
        bool, typer.Option("--all-organisations", help="The key is for all organisations, future ones included.")
    ] = False,
    kind: Annotated[str, typer.Option(help="person or service.")] = "person",
    expires: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Days until it expires.", show_default="never")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and show it this once."""
    from client.requests.administration import create_key
    from commandline.connection import Api
    from commandline.view.output import out, print_json, say

    if bool(organisation) == all_organisations:
        raise usage("say for which organisation the key is (--organisation ORG), or --all-organisations")
    role_named: Any = one_of(role, ROLES)
    kind_named: Any = one_of(kind, KINDS)
    asked = create_key(name, role_named, organisations=organisation, kind=kind_named, expires_days=expires)
    made = Api().json(asked, look="`sluice keys list`")
    if as_json:
        print_json(made)
        return
    until = f", until {made['expires_at'][:10]}" if made["expires_at"] else ""
    say(f"{made['role']} {made['name']}, key {made['id']}{until}. Copy it now: it can't be shown again.")
    out(made["key"])


@keys.command(name="list")
@plain_errors
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, newest first, without their texts."""
    from client.requests import administration
    from commandline.connection import Api
    from commandline.view.output import out, print_json, show_keys

    found = Api().json(administration.keys())["keys"]
    if as_json:
        print_json(found)
    elif found:
        show_keys(found)
    else:
        out("There are no keys yet; `sluice keys create` makes one.")


@keys.command()
@plain_errors
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `sluice keys list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key: it is refused everywhere within a second, and what runs with it ends."""
    from client.requests.administration import revoke_key
    from commandline.connection import Api
    from commandline.view.output import out, print_json

    if not key_id.isascii() or not key_id.isalnum():
        raise usage(f"{key_id[:60]!r} is not a key's id; `sluice keys list` shows them")
    key = Api().json(revoke_key(key_id), look="`sluice keys list`")
    if as_json:
        print_json(key)
    else:
        out(f"Key {key['id']} of {key['name']} is revoked.")
