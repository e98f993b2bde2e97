"""How messages name what was probably meant. Pure."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

MOST = 12


def nearest(name: str, known: Collection[str]) -> str:
    """` (did you mean 'x'?)`, or what there is when nothing is near."""
    close = get_close_matches(name, list(known), n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    names = sorted(known)
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f" (known: {', '.join(names[:MOST]) or 'none'}{more})"
