"""What the name of an image says: where it is, and which tag or digest of it is meant. Pure.

A module of its own, because `pull-image` reads names too, at every start of a container, and must start quickly.
"""

from __future__ import annotations


def split_reference(name: str) -> tuple[str, str]:
    """`[REGISTRY[:PORT]/]REPOSITORY[:TAG]` or `…@DIGEST` in two: what is before it, and the tag or the digest.

    Without either it is `latest`; a tag that stands before a digest counts for nothing.
    """
    path, at, digest = name.partition("@")
    head, slash, last = path.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", (digest if at else tag) or "latest"
