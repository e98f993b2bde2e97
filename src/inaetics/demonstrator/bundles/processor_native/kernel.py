"""What the native processor computes, in C."""

from __future__ import annotations

from inaetics.demonstrator.native import library

ROUNDS = 3000
"""About 20 µs."""


class NativeKernel:
    """A `Kernel`. Raises `NotFound` where its library is missing."""

    def __init__(self) -> None:
        self._library = library()

    def sums(self, left: bytes, right: bytes) -> bytes:
        return self._library.sums(left, right)

    def burn(self) -> None:
        self._library.burn(ROUNDS)
