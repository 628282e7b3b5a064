"""Which addresses jobs may read: those that begin as the operator has allowed. Pure."""

from __future__ import annotations

from urllib.parse import unquote

from api.errors import ApiError, invalid
from runtime.network.addresses import SOURCE_SCHEMES, Address, AddressError, joined, read_address


def allowed_address(text: str, prefixes: tuple[str, ...], organisation: str, base: Address | None = None) -> Address:
    """The address that a job of `organisation` names, or that `base` leads to.

    Raises:
        ApiError: 403, no prefix allows it; 400, it is no address.
    """
    if not prefixes:
        raise ApiError(
            403,
            "jobs can't name addresses here: this server has none that they may read (SLUICE_SOURCE_URLS); "
            "send the file along as multipart/form-data",
        )
    found = job_address(text) if base is None else _led_to(base, text)
    for prefix in prefixes:
        allowed = read_address(prefix.replace("{organisation}", organisation), SOURCE_SCHEMES)
        if (found.scheme, found.host, found.port) == (allowed.scheme, allowed.host, allowed.port) and _below(
            found.path, allowed.path
        ):
            return found
    where = f"{base.shown} leads to {found.shown}, which" if base is not None else f"the address {found.shown}"
    raise ApiError(403, f"{where} is none that jobs of organisation {organisation} may read (SLUICE_SOURCE_URLS)")


def job_address(text: str) -> Address:
    """The address that a job names.

    Raises:
        ApiError: 400, it is none that can be used.
    """
    try:
        address = read_address(text, SOURCE_SCHEMES)
    except AddressError as error:
        raise invalid(f"source.url: {error}") from error
    if address.scheme == "s3" and address.path.endswith("/"):
        raise invalid("source.url: an s3:// address of a file is s3://bucket/key, and no key ends with /")
    return address


def _led_to(base: Address, reference: str) -> Address:
    try:
        return read_address(joined(base, reference), SOURCE_SCHEMES)
    except AddressError as error:
        raise invalid(f"{base.shown} leads to an address that can't be used: {error}") from error


def file_name(address: Address) -> str:
    """The name of the file at an address."""
    return unquote(address.path.rsplit("/", 1)[-1]) or "upload.csv"


def _below(path: str, allowed: str) -> bool:
    """Whether a path is the allowed one, or lies below it as in a folder."""
    folder = allowed if allowed.endswith("/") else f"{allowed}/"
    return path == allowed or path.startswith(folder)
