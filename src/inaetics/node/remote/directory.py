"""Where endpoints are announced and found: what discovery needs of a store of keys, so that it knows none of them.

A key stands while the process that wrote it lives, and is seen everywhere soon after. `inaetics.node.etcd_directory`
is one of etcd's; another store needs these few methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Standing(Protocol):
    """Keys below `prefix` that nobody else writes. They stand for as long as this process lives, whatever happens."""

    @property
    def prefix(self) -> str: ...

    @property
    def wanted(self) -> dict[str, bytes]:
        """What shall be there; not to be changed, but replaced by `want`."""

    def want(self, wanted: Mapping[str, bytes]) -> None:
        """Let exactly this be there, soon; what is new before what is old goes. Safe from any thread, does not wait."""

    def missing(self, for_s: float) -> int:
        """How many keys are not there as wanted, if some have not been for `for_s` seconds. Safe from any thread."""


class Reader(Protocol):
    """Is told what stands below a prefix, in order, on the directory's own thread: it must not block.

    While the store is away it is told nothing.
    """

    def listed(self, items: Mapping[str, bytes]) -> None:
        """Everything there is now. Comes first, and again when changes may have been missed."""

    def changed(self, key: str, value: bytes | None) -> None:
        """One key is new or another, or is gone (None)."""


class Directory(Protocol):
    """The store. Both methods are called before it is started, and each may be called more than once."""

    def stand(self, prefix: str, *, ttl_s: float) -> Standing:
        """Keep keys below `prefix`, which go `ttl_s` after this process died."""

    def follow(self, prefix: str, reader: Reader) -> None:
        """Tell `reader` what stands below `prefix` from now on."""
