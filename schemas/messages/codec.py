"""JSON in and out of the message structs, with errors a person can act on."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

from schemas.descriptors.expectations import in_words, tag_in
from schemas.messages.packed_rows import PackedRows

T = TypeVar("T")


def _as_json(value: Any) -> Any:
    if isinstance(value, PackedRows):
        return msgspec.Raw(value.text)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_as_json)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()
"""msgspec crashes where two threads make decoders of the same types at once, or one decodes meanwhile."""


class UndecodableError(ValueError):
    """Bytes that are not a message of the expected type. Trying again does not help; the record is a dead letter."""


def encode(message: Any) -> bytes:
    """One message as a JSON object, UTF-8, without a line end."""
    return _encoder.encode(message)


def decode(data: bytes | None, kind: type[T] | Any) -> Any:
    """The message in `data`, an instance of `kind` (a struct, or a union of tagged structs).

    Raises:
        UndecodableError: not JSON, or JSON that does not fit; the message says where, and what is expected there.
            No bytes make it raise anything else.
    """
    if data is None:
        raise UndecodableError("the record has no value; a JSON object is expected")
    try:
        return _decoder(kind).decode(data)
    except msgspec.ValidationError as error:
        raise UndecodableError(in_words(str(error), kind, tag_in(data))) from error
    except RecursionError as error:
        raise UndecodableError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise UndecodableError(f"not UTF-8: {error}") from error
    except MemoryError:
        raise
    except Exception as error:
        raise UndecodableError(str(error)) from error


def fit(values: dict[str, Any], kind: type[T]) -> T:
    """A struct of values that did not come as JSON (a form's fields, say), with the checks of `decode`.

    Raises:
        UndecodableError: they do not fit; the message says where, and what is expected there. No values that are made
            of JSON's kinds make it raise anything else.
    """
    _decoder(kind)  # what msgspec knows of a type is made under the lock
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise UndecodableError(in_words(str(error), kind)) from error
    except RecursionError as error:
        raise UndecodableError("it is nested too deeply") from error
    except (ValueError, ArithmeticError, TypeError) as error:
        raise UndecodableError(str(error)) from error


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(kind)
    if decoder is None:
        with _making:
            decoder = _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return decoder
