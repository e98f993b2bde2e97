"""Names of images as unit files write them: which tag a unit follows, and the same image named by its digest. Pure.

A name is `[REGISTRY/]REPOSITORY[:TAG]` or `…@sha256:…`; `${INAETICS_REGISTRY}` stands for the cluster's registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from inaetics.errors import UnitFileError
from inaetics.override import override
from inaetics.units.container_arguments import SECTION, pulls
from inaetics.units.grammar import UnitFile
from inaetics.units.names import Name
from inaetics.units.references import split_reference
from inaetics.units.specifiers import expand_unplaced

OWN_REGISTRY = "${INAETICS_REGISTRY}"
"""How unit files name the cluster's registry, wherever it is."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"(?P<path>[^@]+?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?")


@dataclass(frozen=True, slots=True, order=True)
class Followed:
    """A tag that a unit follows: in which registry, as the file says it, of which repository."""

    registry: str
    repository: str
    tag: str

    @override
    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"

    @property
    def short(self) -> str:
        """For people: without the registry."""
        return f"{self.repository}:{self.tag}"

    @property
    def name(self) -> str:
        """What people call the image: the last word of the repository."""
        return self.repository.rpartition("/")[2]


def followed(unit: UnitFile, name: Name) -> Followed | None:
    """The tag that the unit's image is taken from.

    None for what is no container, for an image named by its digest, and where no registry is asked (`Pull=never`,
    `localhost/…`) or the name depends on the machine.
    """
    text = unit.get(SECTION, "Image")
    if not text or name.is_template or not pulls(unit):
        return None
    try:
        return parse_followed(expand_unplaced(text, name=name) if "%" in text else text)
    except UnitFileError:
        return None


def parse_followed(text: str) -> Followed | None:
    """Read an image's name; None for one without a tag to follow or without a registry. No tag means `latest`."""
    registry, slash, rest = text.partition("/")
    match = _NAME.fullmatch(rest)
    if not slash or match is None or not ("." in registry or ":" in registry or registry.startswith("${")):
        return None
    return Followed(registry, match["path"], match["tag"] or "latest")


def pinned(image: str, digest: str) -> str:
    """The image's name with `digest` in the place of its tag; unchanged without one."""
    return f"{split_reference(image)[0]}@{digest}" if digest else image


def is_digest(text: str) -> bool:
    """Whether this is a digest as registries give them."""
    return bool(_DIGEST.fullmatch(text))
