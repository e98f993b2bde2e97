"""What the API says about image registries, as JSON."""

from __future__ import annotations

import msgspec

IMAGES = "/inaetics/v1/images"


class ImagesInUse(msgspec.Struct, frozen=True, kw_only=True):
    """The digests that units, placements and updates on record name: no registry may give them up."""

    revision: int
    digests: tuple[str, ...]
