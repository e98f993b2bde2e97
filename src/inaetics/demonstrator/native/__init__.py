"""The native library of the agents' image (`kernels.c`), through ctypes. There is no fallback: without it, say so."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from inaetics.errors import InvalidInput, NotFound

LIBRARY = "INAETICS_KERNELS"
"""Environment variable: the library's path, where it is not beside this file (outside of images, for tests)."""

WIDTH = 8


class Library:
    """The functions of `kernels.c` over columns of floats: 8 bytes each, little endian."""

    def __init__(self, path: Path) -> None:
        """Raises `NotFound` when there is no library that this machine can load."""
        if sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != WIDTH:
            raise NotFound("the native kernels are for little-endian machines of 64 bits: use the bundle 'processor'")
        try:
            loaded = ctypes.CDLL(str(path))
        except OSError as error:
            raise NotFound(
                f"cannot load the native kernels {path}: {error} (images have them: `inaetics image build` compiles"
                " them with tcc; the bundle 'processor' does without)"
            ) from error
        self._sums = loaded.sums
        self._sums.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long]
        self._sums.restype = None
        self._burn = loaded.burn
        self._burn.argtypes = [ctypes.c_double, ctypes.c_long]
        self._burn.restype = ctypes.c_double

    def sums(self, left: bytes, right: bytes) -> bytes:
        """The column of `left[i] + right[i]`. Raises `InvalidInput` unless both are columns of one length."""
        if len(left) != len(right) or len(left) % WIDTH:
            raise InvalidInput(
                f"cannot add columns of {len(left)} and {len(right)} bytes: 8 for each of as many floats"
            )
        into = (ctypes.c_char * len(left))()
        self._sums(left, right, into, len(left) // WIDTH)
        return into.raw

    def burn(self, rounds: int) -> None:
        """Compute for so many rounds, a few nanoseconds each; other threads may run meanwhile."""
        self._burn(0.5, rounds)


def library() -> Library:
    """This installation's. Raises `NotFound`."""
    return Library(Path(os.environ.get(LIBRARY) or Path(__file__).with_name("kernels.so")))
