"""`sluice webhooks`: who is told of what becomes of jobs."""

from __future__ import annotations

import re
from typing import Annotated, Any, get_args

import typer

from commandline.arguments import one_of
from commandline.errors import plain_errors, usage
from commandline.parameters import AsJson
from runtime.text.sentences import Sentences
from schemas.job import State
from schemas.messages.webhooks import WEBHOOK_ID_PATTERN, EventType

app = typer.Typer()
webhooks = typer.Typer(
    cls=Sentences, help="Make, list, test and delete webhooks, and see what they delivered.", no_args_is_help=True
)
app.add_typer(webhooks, name="webhooks")

Json = dict[str, Any]
Which = Annotated[
    str, typer.Argument(metavar="ID", help="The webhook's id or name, as `sluice webhooks list` shows them.")
]
Organisation = Annotated[
    str | None, typer.Option(metavar="ORG", help="Whose it is.", show_default="the key's own, if it has just one")
]


@webhooks.command()
@plain_errors
def create(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME] [URL]",
            help="Where events are sent, and what to call it; without a name it is called as its host. "
            "Without a URL: make the secret for addresses that jobs name with --notify.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="The same as the URL above.")] = None,
    name: Annotated[str | None, typer.Option(help="The same as the name above.")] = None,
    organisation: Organisation = None,
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only when a job comes into this state; repeatable.")
    ] = None,
    operation: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only of jobs of this operation; repeatable.")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="Only events of this type, such as sluice.job.failed; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a webhook, and show its secret this once."""
    from client.requests.notifying import create_webhook
    from commandline.connection import Api

    states = [str(known) for known in State]
    asked = create_webhook(
        _one("URL", [word for word in words or [] if "://" in word], url),
        name=_one("name", [word for word in words or [] if "://" not in word], name),
        organisation=organisation,
        states=[one_of(text.upper().replace("-", "_"), states) for text in state or []],
        operations=operation or [],
        events=[one_of(_typed(text), get_args(EventType)) for text in event or []],
    )
    _show_secret(Api().json(asked, look="`sluice webhooks list`"), as_json)


@webhooks.command(name="list")
@plain_errors
def list_webhooks(organisation: Organisation = None, as_json: AsJson = False) -> None:
    """List webhooks, and how they fare."""
    from client.requests import notifying
    from commandline.connection import Api
    from commandline.view.output import out, print_json, show_webhooks

    found = Api().json(notifying.webhooks(organisation))["webhooks"]
    if as_json:
        print_json(found)
    elif found:
        show_webhooks(found)
    else:
        out("There are no webhooks; `sluice webhooks create URL` makes one.")


@webhooks.command()
@plain_errors
def delete(which: Which, organisation: Organisation = None) -> None:
    """Delete a webhook; what waits for it is not delivered any more."""
    from client.requests.notifying import delete_webhook
    from commandline.connection import Api
    from commandline.view.output import out

    api = Api()
    found = _found(api, which, organisation)
    api.json(delete_webhook(found["id"]), look="`sluice webhooks list`")
    out(f"Webhook {found['name']} of organisation {found['organisation']} is deleted.")


@webhooks.command()
@plain_errors
def test(which: Which, organisation: Organisation = None, as_json: AsJson = False) -> None:
    """Send a test event, and show what the receiver makes of it; exit code 1 if it does not take it."""
    from client.requests.notifying import test_webhook
    from commandline.connection import Api
    from commandline.view.output import out, print_json

    api = Api()
    found = _found(api, which, organisation)
    tried = api.json(test_webhook(found["id"]))
    if as_json:
        print_json(tried)
    elif tried["delivered"]:
        out(f"{found['name']} took it: {tried['answer']}, after {tried['seconds']:.2f} s.")
    else:
        out(f"{found['name']} did not take it: {tried['error']}.")
    raise typer.Exit(0 if tried["delivered"] else 1)


@webhooks.command()
@plain_errors
def deliveries(
    which: Which,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="pending, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, at most.")] = 50,
    organisation: Organisation = None,
    as_json: AsJson = False,
) -> None:
    """Show a webhook's deliveries: all that wait, and the newest of the others."""
    from client.requests import notifying
    from commandline.connection import Api
    from commandline.view.output import out, print_json, show_deliveries

    api = Api()
    found = _found(api, which, organisation)
    status_named: Any = status  # the API says which there are
    page = api.json(notifying.deliveries(found["id"], status=status_named, limit=limit))
    if as_json:
        print_json(page["deliveries"])
    elif page["deliveries"]:
        show_deliveries(page["deliveries"])
    else:
        out(f"Webhook {found['name']} has no deliveries{f' that are {status}' if status else ''}.")


@webhooks.command()
@plain_errors
def redeliver(
    which: Which,
    event_id: Annotated[
        str | None, typer.Argument(metavar="EVENT", help="The event to send again; left out: all that were given up.")
    ] = None,
    organisation: Organisation = None,
    as_json: AsJson = False,
) -> None:
    """Send one event again, or all that were given up."""
    from client.requests import notifying
    from commandline.connection import Api
    from commandline.view.output import out, print_json

    api = Api()
    found = _found(api, which, organisation)
    sent = api.json(notifying.redeliver(found["id"], event_id), look="`sluice webhooks deliveries`")
    if as_json:
        print_json(sent)
    else:
        count = sent["deliveries"]
        out(f"{count:,} {'delivery' if count == 1 else 'deliveries'} of {found['name']}: sent again.")


@webhooks.command()
@plain_errors
def secret(which: Which, organisation: Organisation = None, as_json: AsJson = False) -> None:
    """Make a new secret, and show it this once; the one before it signs beside it for a day."""
    from client.requests.notifying import renew_webhook_secret
    from commandline.connection import Api

    api = Api()
    found = _found(api, which, organisation)
    _show_secret(api.json(renew_webhook_secret(found["id"]), look="`sluice webhooks list`"), as_json)


def _show_secret(made: Json, as_json: bool) -> None:
    from commandline.view.output import out, print_json, say

    if as_json:
        print_json(made)
        return
    where = made["url"] or "addresses that jobs name"
    say(f"Webhook {made['name']}, {made['id']}, of organisation {made['organisation']}, for {where}.")
    say("Copy its secret now: it can't be shown again.")
    out(made["secret"])


def _found(api: Any, which: str, organisation: str | None) -> Json:
    """The webhook of this id or name."""
    from client.requests import notifying

    listed = api.json(notifying.webhooks(organisation))["webhooks"]
    found = [webhook for webhook in listed if which in (webhook["id"], webhook["name"])]
    if len(found) > 1:
        whose = ", ".join(webhook["organisation"] for webhook in found)
        raise usage(f"there are several webhooks {which}: give the id, or the organisation ({whose})")
    if found:
        return dict(found[0])
    if re.match(WEBHOOK_ID_PATTERN, which):
        return dict(api.json(notifying.webhook(which)))  # the API says that there is none
    raise usage(f"there is no webhook {which[:60]!r}; `sluice webhooks list` shows them")


def _one(what: str, words: list[str], option: str | None) -> str | None:
    """The one that is given; None: there is none."""
    given = [*words, *([option] if option is not None else [])]
    if len(given) > 1:
        raise usage(f"there is more than one {what}: {', '.join(given)[:200]}; give one")
    return given[0] if given else None


def _typed(text: str) -> str:
    return text if text.startswith("sluice.") else f"sluice.job.{text}"
