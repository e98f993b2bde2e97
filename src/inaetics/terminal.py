"""What may be sent to a person's terminal: colours, and lines that are written over.

Colours are off where NO_COLOR is set to anything (https://no-color.org) or the terminal is a dumb one, which cannot
have a line written over either. Nothing but the standard library, and little of it: every command imports this.
"""

from __future__ import annotations

import os
from typing import TextIO

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}


def colours() -> bool:
    """Whether people want colours, wherever they look."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, *style: str) -> str:
    """`text` in a style ("red", "bold" …), or as it is; click takes it off where the output is no terminal."""
    if not colours():
        return text
    return f"\033[{';'.join(str(_CODES[each]) for each in style)}m{text}\033[0m"


def writes_over(stream: TextIO) -> bool:
    """Whether a line on `stream` can be written over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width(stream: TextIO) -> int:
    """How many columns `stream` shows; 80 where nobody can say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
