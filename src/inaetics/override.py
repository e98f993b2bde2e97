"""`override` for Python 3.11, whose `typing` has none yet: the checker sees the real one, the program does nothing.

Not from `typing_extensions`, which has it too but takes a hundredth of a second to load: programs that start with every
container import this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import override
else:
    Method = TypeVar("Method", bound=Callable[..., Any])

    def override(method: Method) -> Method:
        """Mark a method that replaces its parent's."""
        return method


__all__ = ["override"]
