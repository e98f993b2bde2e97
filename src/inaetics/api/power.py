"""Switching hosts of a cluster that runs on one machine: by the power switch that `up` started beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound, Unavailable

WITHIN_S = 130.0
_ERRORS: dict[str, type[InaeticsError]] = {
    "InvalidInput": InvalidInput,
    "NotFound": NotFound,
    "Conflict": Conflict,
}


class _Said(msgspec.Struct):
    kind: str = ""
    error: str = ""


async def turn(switch: Path | None, action: str, host: str) -> None:
    """Have `host` killed or started; returns once that is done. Raises what it was refused with.

    Raises `Conflict` in a cluster whose hosts are machines of their own.
    """
    if switch is None:
        raise Conflict(f"cannot {action} {host}: this cluster's hosts are machines of their own")
    try:
        async with asyncio.timeout(WITHIN_S):
            answer = await _ask(switch, f"{action} {host}\n".encode())
    except (OSError, TimeoutError) as error:
        raise Unavailable(
            f"cannot {action} {host}: the cluster's power switch at {switch} does not answer (inaetics up starts it)"
        ) from error
    try:
        said = msgspec.json.decode(answer, type=_Said)
    except msgspec.DecodeError as error:
        raise Unavailable(f"cannot {action} {host}: the power switch broke off") from error
    if said.error:
        raise _ERRORS.get(said.kind, Unavailable)(said.error)


async def _ask(switch: Path, wish: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(switch)
    try:
        writer.write(wish)
        return await reader.read()
    finally:
        writer.close()
