"""Which hosts there ought to be: `up` writes it down, and who forgets a machine takes its host off it."""

from __future__ import annotations

import msgspec

from inaetics.api.hosts_wire import INVENTORY, Inventory
from inaetics.errors import Conflict, Unavailable
from inaetics.store.protocol import ModIs, Put, Store

ATTEMPTS = 5


async def read(store: Store) -> tuple[Inventory, int]:
    """The inventory and the revision it was written at; an empty one and 0 where there is none."""
    item = await store.get(INVENTORY)
    if item is None:
        return Inventory(), 0
    try:
        return msgspec.json.decode(item.value, type=Inventory), item.mod_revision
    except msgspec.DecodeError as error:
        raise Unavailable(f"{INVENTORY} in the store cannot be read (write it anew: inaetics up)") from error


async def forget(store: Store, host: str) -> int | None:
    """Expect `host` no more, until `up` is asked for it again; returns the write's revision, None for none.

    Raises `Conflict` when others write it all the time, `Unavailable`.
    """
    for _ in range(ATTEMPTS):
        known, revision = await read(store)
        left = tuple(each for each in known.hosts if each.name != host)
        if len(left) == len(known.hosts):
            return None
        value = msgspec.json.encode(Inventory(hosts=left))
        try:
            return await store.commit(
                [Put(key=INVENTORY, value=value)], guards=[ModIs(key=INVENTORY, revision=revision)]
            )
        except Conflict:
            continue  # somebody else was quicker: look again
    raise Conflict(f"cannot forget {host}: somebody else changes which hosts there are all the time (try again)")
