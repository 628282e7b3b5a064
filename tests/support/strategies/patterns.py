"""Regular expressions of all kinds, and texts that some of them match."""

from __future__ import annotations

from hypothesis import strategies as st

SETS = [
    *("a", "b", ".", "[ab]", "[^ab]", "[^@]", "é", "[à-ü]", "[^é]", "[ -~]", "[\U0001f600-\U0001f64f]"),
    *(",", '"', '[^"]', "(?!a)", r"\b", "^", "$", "(?i:a)"),
    *(r"\d", r"\w", r"\s", r"\S", r"\D", r"[^\s]", r"[^\d]", r"[\d-]", r"\.", r"\t", r"[^\n]", r"\\"),
]
PATTERNS = st.recursive(
    st.sampled_from(SETS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*+", "+?", "{2,}"])).map(
            lambda parts: f"(?:{parts[0]}){parts[1]}"
        ),
    ),
    max_leaves=6,
)
TEXTS = st.text('ab@.1é"\\\t\n ,-A٣\u2003\U0001f600', max_size=6)
