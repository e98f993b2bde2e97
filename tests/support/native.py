"""The native kernels of the agents' image, compiled for tests on this machine."""

from __future__ import annotations

from pathlib import Path

from inaetics import resources
from inaetics.containers.native import compile_library


def compiled_kernels(directory: Path) -> Path:
    """The library, in `directory`; INAETICS_KERNELS names it to the bundle `processor_native`."""
    library = directory / "kernels.so"
    compile_library(resources.package_directory() / "demonstrator" / "native" / "kernels.c", library)
    return library
