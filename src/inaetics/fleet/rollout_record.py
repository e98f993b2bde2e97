"""Between the JSON in etcd and a rollout. Read leniently, as all records.

A record is written with each of its steps, so it is kept short: what is as by default is left out, and what most steps
of a rollout of images share (what they had, get and are made of) stands once beside them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import MISSING, fields, replace
from typing import Any

import msgspec

from inaetics.errors import InvalidInput
from inaetics.fleet.rollout import Rollout, Step
from inaetics.store.protocol import KeyValue

FORMAT = 1
_SHARED = ("old_image", "new_image", "content_hash")
_DEFAULTS = {each.name: each.default for each in fields(Step) if each.default is not MISSING}
_encoder = msgspec.json.Encoder()


def value(rollout: Rollout) -> bytes:
    """What is stored."""
    record = msgspec.to_builtins(replace(rollout, revision=0))
    shared = Counter(tuple(step[name] for name in _SHARED) for step in record["steps"]).most_common(1)
    common = dict(zip(_SHARED, shared[0][0], strict=True)) if shared else {}
    usual = {**_DEFAULTS, **common}
    record["steps"] = [
        {name: it for name, it in step.items() if name not in usual or it != usual[name]} for step in record["steps"]
    ]
    return _encoder.encode({"version": FORMAT, **record, "common": common})


def rollout(item: KeyValue) -> Rollout:
    """Read a stored rollout; raises InvalidInput naming the key when it is none."""
    try:
        return replace(_decoded(item.value), revision=item.mod_revision)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(f"cannot read {item.key} in the store: {error} (written by another version?)") from error


class _Raw(msgspec.Struct):
    common: dict[str, str | None] = {}
    steps: list[dict[str, Any]] = []


_decoder = msgspec.json.Decoder(dict[str, Any])


def _decoded(text: bytes) -> Rollout:
    record = _decoder.decode(text)
    raw = msgspec.convert(record, _Raw)
    record["steps"] = [{**raw.common, **step} for step in raw.steps]
    return msgspec.convert(record, Rollout)
