"""Secrets and signatures as Standard Webhooks 1.0 has them (symmetric, ``v1``). Pure; randomness is handed in."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from schemas.ids import SHORT_ID_LENGTH, short_id
from schemas.messages.webhooks import Webhook

PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """A new secret, as its owner keeps it."""
    return PREFIX + base64.b64encode(random_bytes(_SECRET_BYTES)).decode()


def new_webhook_id(random_bytes: Callable[[int], bytes]) -> str:
    """A new webhook's id."""
    return short_id(random_bytes(SHORT_ID_LENGTH))


def id_for_addresses(organisation: str) -> str:
    """The id of an organisation's webhook for addresses that jobs name: always the same, so that there is but one."""
    return _id_of(f"addresses of jobs\n{organisation}")


def id_of_form(organisation: str, once: str) -> str:
    """The id of the webhook that a form of the page makes: always the same, so that a form that is sent twice makes
    one. `once`: what the form says, which its sender may choose; no other organisation has a webhook of this id."""
    return _id_of(f"form\n{organisation}\n{once}")


def _id_of(text: str) -> str:
    return short_id(hashlib.sha256(text.encode()).digest()[:SHORT_ID_LENGTH])


def secrets_of(webhook: Webhook, now_ms: int) -> tuple[str, ...]:
    """The secrets that sign now: the webhook's, and for a day the one before it."""
    if webhook.old_secret is not None and webhook.old_until is not None and now_ms < webhook.old_until:
        return webhook.secret, webhook.old_secret
    return (webhook.secret,)


def signed_headers(secrets: tuple[str, ...], event_id: str, at_seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a request with this body, sent at `at_seconds` since 1970."""
    content = b"%b.%d.%b" % (event_id.encode(), at_seconds, body)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
