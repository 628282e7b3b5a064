"""Reads a file of an S3 bucket, with the server's own credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from api.errors import ApiError, invalid, unavailable
from api.remote.web import too_large
from runtime.files.storage import CHUNK_BYTES, s3_store
from runtime.network.addresses import Address
from runtime.settings import Settings


async def read_bucket(address: Address, settings: Settings) -> AsyncIterator[bytes]:
    """The bytes of an object.

    Raises:
        ApiError: 400, there is no such object; 403, the server may not read it; 413, it is too large; 503, the bucket
            can't be reached, or breaks off.
    """
    try:
        found = await obstore.get_async(
            s3_store(settings, address.host, request_seconds=settings.source_seconds), address.key
        )
        if found.meta["size"] > settings.source_bytes:
            raise too_large(address, settings.source_bytes)
        async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)
    except FileNotFoundError as error:
        raise invalid(f"there is no file {address.shown}") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise ApiError(403, f"this server may not read {address.shown}: see its credentials (SLUICE_S3_*)") from error
    except (OSError, ValueError, BaseError) as error:
        raise unavailable(f"{address.shown} can't be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split("\n\nDebug source")[0].split())[:300]
