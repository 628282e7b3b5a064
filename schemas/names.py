"""Names of fields: which of them an index can hold, each by itself and all of a dataset beside each other.

Elasticsearch takes a dot in a name for a path: ``a.b`` is the field b of the object a.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

LONGEST_NAME = 255
MAPPING_FIELDS = 1000
"""Fields of an index, at most, with the objects that paths stand for (``index.mapping.total_fields.limit``)."""
OWN_FIELDS = 4
"""The object ``sluice`` of each document, and what is in it."""
DEEPEST = 20
"""Parts of a path (``index.mapping.depth.limit``)."""
METADATA = frozenset(
    [
        "_data_stream_timestamp",
        "_doc_count",
        "_feature",
        "_field_names",
        "_id",
        "_ignored",
        "_ignored_source",
        "_index",
        "_index_mode",
        "_inference_fields",
        "_nested_path",
        "_primary_term",
        "_recovery_source",
        "_routing",
        "_seq_no",
        "_size",
        "_source",
        "_tier",
        "_ts_routing_hash",
        "_tsid",
        "_type",
        "_version",
    ]
)
"""Elasticsearch's own fields, of any version from 7 on and of its plugins."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
_NOWHERE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015\u2212]+")


def name_problem(name: str) -> str | None:
    """What is wrong with a field's name, in words that go on after it; None: nothing."""
    if not name or not name.strip():
        return "a name needs a letter or another sign that can be seen"
    if len(name) > LONGEST_NAME:
        return f"a name has at most {LONGEST_NAME} characters, this one {len(name):,}"
    if not _NOWHERE.isdisjoint(map(unicodedata.category, name)):
        return "a name holds no control characters or line ends"
    if not _UNSEEN.isdisjoint(map(unicodedata.category, (name[0], name[-1]))):
        return "a name neither begins nor ends with a space or with what can't be seen"
    path = name.split(".")
    if not all(map(str.strip, path)):
        return "Elasticsearch takes dots for a path, and no part of it may be empty; take the dot out"
    if len(path) > DEEPEST:
        return f"Elasticsearch takes dots for a path, which has at most {DEEPEST} parts, this one {len(path)}"
    if path[0] in METADATA:
        return f"Elasticsearch has a field {path[0]} of its own; call the field otherwise"
    if path[0] == "sluice" or name.startswith("sluice_"):
        return "this name is taken by Sluice itself; call the field otherwise"
    return None


_LONGEST_FOLDED: Final = 1024


def folded(name: str) -> str:
    """What names have in common that people take for the same: ``Phone  Number``, ``phone_number``, ``PHONE-NUMBER``.

    Case, width and the kind of space (Unicode's NFKC) do not count, nor does what can't be seen, a byte order mark
    say; spaces, ``_`` and ``-`` are one, and none at the ends. Empty where nothing is left. A text that is too long for
    any name stays as it is: the time that Unicode's rules take may grow with the square of its length.
    """
    if len(name) > _LONGEST_FOLDED:
        return name
    seen = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return _SEPARATORS.sub("_", unicodedata.normalize("NFKC", seen.casefold())).strip("_")


def neighbours_problem(names: Sequence[str]) -> tuple[str, str] | None:
    """The first name that can't stand beside the others, and why, in words that go on after it; None: all can."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        return twice, "the field name appears twice"
    known, objects = set(names), dict[str, str]()
    for name in names:
        for outer in list(accumulate(name.split("."), "{}.{}".format))[:-1]:
            if outer in known:
                return name, f"{outer!r} is a field, so it can't be an object with fields as well; rename one of them"
            objects.setdefault(outer, name)
    needed = len(names) + len(objects) + OWN_FIELDS
    if needed > MAPPING_FIELDS:
        most = f"an index has at most {MAPPING_FIELDS} fields, {OWN_FIELDS} of them Sluice's own"
        paths = f", and each of the {len(objects)} objects that dots stand for is one" if objects else ""
        return names[-1], f"{len(names):,} fields are too many: {most}{paths}"
    return None
