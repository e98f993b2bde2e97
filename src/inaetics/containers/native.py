"""C of our own package, compiled for its images: `kernels.c` becomes `kernels.so` beside it.

The compiler is Debian's tcc: 0.3 MB to download where gcc and its headers are about 50, and what comes out has the same
bytes everywhere. So the C must be freestanding: no headers, no library functions. tcc 0.9.27 does not say that a stack
need not be executable: loaded as it is, a library would make that of the whole process so, and glibc from 2.41 on would
refuse it. We add the word (`_plain_stack`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from inaetics.containers.process import find_program, run
from inaetics.errors import CommandFailed

SOURCE = ".c"
LIBRARY = ".so"

_COMPILE_S = 30.0

_OFFSET_OF_TABLE, _SIZE_AND_COUNT = 32, 54
"""In the header of a 64-bit ELF file: where its program headers are, how large one is, how many there are."""
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_GNU_STACK = 0x6474E551
_READ_WRITE = 6


def compiler(files: Iterable[Path]) -> str:
    """What makes the libraries of these files, for the digest of what they are made from; empty when none is C."""
    if not any(path.suffix == SOURCE for path in files):
        return ""
    version = run([_tcc(), "-v"], doing="ask for the compiler's version", timeout_s=_COMPILE_S)
    return version + Path(__file__).read_text()


def compile_all(tree: Path) -> None:
    """Compile every C file below `tree`. Raises as `compile_library`."""
    for source in sorted(tree.rglob(f"*{SOURCE}")):
        compile_library(source, source.with_suffix(LIBRARY))


def compile_library(source: Path, library: Path) -> None:
    """Compile one file to a shared library for this machine. Raises `NotFound` (no tcc), `CommandFailed`."""
    flags = ("-shared", "-nostdlib", "-nostdinc", "-Wall", "-Werror")
    command: list[str | Path] = [_tcc(), *flags, "-o", library.resolve(), source.name]
    run(command, doing=f"compile {source}", timeout_s=_COMPILE_S, cwd=source.parent)
    library.write_bytes(_plain_stack(library.read_bytes()))
    library.chmod(0o644)


def _tcc() -> str:
    return find_program("tcc", package="tcc")


def _plain_stack(elf: bytes) -> bytes:
    """The library with a program header that asks for a stack without execution: its table is moved to the end."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise CommandFailed("the compiler made no 64-bit little-endian ELF library", status=1, output="")
    (table,) = struct.unpack_from("<Q", elf, _OFFSET_OF_TABLE)
    size, count = struct.unpack_from("<HH", elf, _SIZE_AND_COUNT)
    headers = elf[table : table + size * count]
    if any(_PROGRAM_HEADER.unpack_from(headers, i * size)[0] == _GNU_STACK for i in range(count)):
        return elf
    stack = _PROGRAM_HEADER.pack(_GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16)
    padded = elf + bytes(-len(elf) % 8)
    changed = bytearray(padded + headers + stack)
    struct.pack_into("<Q", changed, _OFFSET_OF_TABLE, len(padded))
    struct.pack_into("<HH", changed, _SIZE_AND_COUNT, size, count + 1)
    return bytes(changed)
