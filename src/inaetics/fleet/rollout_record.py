"""Between the JSON in etcd and a rollout. Read leniently, as all records."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from inaetics.errors import InvalidInput
from inaetics.fleet.rollout import Rollout
from inaetics.store.protocol import KeyValue

FORMAT = 1
_decoder = msgspec.json.Decoder(Rollout)


def value(rollout: Rollout) -> bytes:
    """What is stored."""
    fields = msgspec.to_builtins(replace(rollout, revision=0))
    return msgspec.json.encode({"version": FORMAT, **fields})


def rollout(item: KeyValue) -> Rollout:
    """Read a stored rollout; raises InvalidInput naming the key when it is none."""
    try:
        return replace(_decoder.decode(item.value), revision=item.mod_revision)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(f"cannot read {item.key} in the store: {error} (written by another version?)") from error
