"""Getting an image before a container starts: `python -m inaetics.containers.pulling SETTINGS IMAGE`.

`pull-image` (see `inaetics.containers.pull`) runs this when the image is not here, or is named by a tag that may have
moved. The host's registries are tried in order, each for a bounded time; the first that has the image is the one it is
pulled from. An image that is here is enough when nobody answers. How far a pull has come is told to the supervisor, and
as long as it comes on, the unit's start does not time out.

Nothing but Python's own library is used: this runs at every start of a container whose image has a tag.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inaetics.containers.replicate_http import Peer
from inaetics.errors import InaeticsError, NotFound, Unavailable
from inaetics.files import replace_file
from inaetics.notify import notify
from inaetics.units.references import split_reference

ANSWER_S = 3.0
"""For a registry to say what an image is; then the next is asked."""

QUICK_S = 30.0
"""How long a newer image is waited for when an older one is here: a registry that hangs must not hold up a restart."""

STALLED_S = 30.0
"""A pull of which nothing arrives for so long is given up, and the next registry is tried."""

PATIENCE_S = 60.0
"""How long a first pull waits for another image's to end before it goes on beside it."""

SILENT_S = 60.0
"""For so long a registry that did not answer in time is asked after all others."""

HEARD_S = 0.1
"""For the supervisor to hear why before it sees that we ended: then it need not ask who spoke."""

LOOK_S = 0.1
TELL_S = 0.5
EXTEND_US = 120_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `pull-image` knows of its host, as JSON in its settings file."""

    engine: list[str]
    flags: list[str]
    kind: str
    registry: str
    """What images of the cluster are named after."""
    sources: dict[str, str]
    """The registries to try, in order (host:port), each with the registries.conf that has the engine ask it."""
    certificates: str
    root: str
    """The engine's store: what arrives is seen in its directories."""
    lock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image's name in its parts; `reference` is a tag or a digest."""

    text: str
    registry: str
    repository: str
    reference: str


class NoRoom(InaeticsError):
    """The disk is full: no other registry would help."""


def parse(text: str) -> Image:
    """Split `registry/repository:tag` or `registry/repository@digest`; without a tag it is `latest`."""
    registry, _, rest = text.partition("/")
    repository, reference = split_reference(rest)
    return Image(text=text, registry=registry, repository=repository, reference=reference)


def get(settings: Settings, image: Image) -> None:
    """Have the image here; raises `InaeticsError` with words that help when there is none."""
    here = _here(settings, image)
    if here and (settings.kind == "docker" or image.reference.startswith("sha256:")):
        return
    said: list[InaeticsError] = []
    for source in _in_order(settings, image):
        try:
            _from(settings, source, image, here)
        except NoRoom:
            raise
        except InaeticsError as error:
            said.append(error)
        else:
            return
    if here:
        words = "; ".join(map(str, said)) or "there is no registry to ask"
        _say(f"no newer image could be got ({words}): starting the image that is here")
        return
    raise _nowhere(image, said)


def _nowhere(image: Image, said: list[InaeticsError]) -> InaeticsError:
    if said and all(isinstance(each, NotFound) for each in said):
        name = image.repository.rpartition("/")[2]
        return NotFound(
            f"image '{image.text}' is not in any registry (build it: inaetics image build {name}; then: inaetics image"
            f" push {name})"
        )
    words = "; ".join(map(str, said)) or "there is no registry to ask"
    if any(isinstance(each, Unavailable) for each in said):
        return Unavailable(
            f"image '{image.text}' is not on this host, and no registry that answers has it: {words} (are their hosts"
            " up? 'inaetics status' tells; the start is tried again)"
        )
    return InaeticsError(f"image '{image.text}' cannot be pulled: {words}")


def _in_order(settings: Settings, image: Image) -> list[str]:
    """Where to look: for an image of the cluster its registries, those that were silent lately last.

    Docker cannot be sent to a registry by another name than the image's: it is asked once.
    """
    if image.registry != settings.registry or settings.kind == "docker":
        return [image.registry]
    silent = _silent(settings)
    return sorted(settings.sources or {settings.registry: ""}, key=lambda source: source in silent)


def _from(settings: Settings, source: str, image: Image, here: str) -> None:
    """Pull from one registry; nothing is done when what it has is here already."""
    manifest: Mapping[str, Any] = {}
    if ":" in source and settings.kind == "podman":
        manifest = _manifest(settings, source, image)
        if here and manifest.get("config", {}).get("digest", "").removeprefix("sha256:") == here:
            return
    with _first_pull(settings) if not here else _beside():
        _pull(settings, source, image, _missing(settings, manifest), QUICK_S if here else None)


def _manifest(settings: Settings, source: str, image: Image) -> Mapping[str, Any]:
    """What the image is there; raises `Unavailable` when the registry does not answer in time."""
    began = time.monotonic()
    peer = Peer(source, Path(settings.certificates))
    peer.timeout_s = ANSWER_S
    try:
        content, _ = peer.manifest(image.repository, image.reference)
        found = json.loads(content)
    except Unavailable:
        if time.monotonic() - began >= ANSWER_S:
            _note_silent(settings, source)
        raise
    except (OSError, ValueError) as error:
        raise Unavailable(f"the registry at {source} cannot be asked: {error}") from error
    return found if isinstance(found, dict) else {}


def _pull(settings: Settings, source: str, image: Image, missing: int | None, within_s: float | None) -> None:
    """Run the engine's pull and tell how far it is; ends it when nothing arrives any more."""
    engine = settings.engine
    if conf := settings.sources.get(source, ""):
        engine = _with_conf(engine, conf)
    command = [*engine, "pull", "--quiet", *settings.flags, image.text]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words)
        status = _followed(process, Path(settings.root) / "tmp", missing, within_s)
        words.seek(0)
        said = words.read().decode(errors="replace").strip()
    if status is None:
        raise Unavailable(f"the registry at {source} stopped sending '{image.text}'")
    if status:
        raise _failure(source, said)


def _followed(process: subprocess.Popen[bytes], place: Path, missing: int | None, within_s: float | None) -> int | None:
    """Tell the supervisor how far a pull is until it ends; its exit status, or None: it hung, and was killed."""
    began = moved = told = time.monotonic()
    arrived = 0
    notify(_progress(0, missing), f"EXTEND_TIMEOUT_USEC={EXTEND_US}")
    while (status := _ended(process)) is None:
        now = time.monotonic()
        if (more := _arrived(place)) > arrived:
            arrived, moved = more, now
            if now - told > TELL_S:
                told = now
                notify(_progress(arrived, missing), f"EXTEND_TIMEOUT_USEC={EXTEND_US}")
        if now - moved > STALLED_S or (within_s is not None and now - began > within_s):
            process.kill()
            process.wait()
            return None
    return status


def _failure(source: str, words: str) -> InaeticsError:
    if "no space left" in words:
        return NoRoom(f"the image cannot be stored: the disk is full ({words[-300:]})")
    if any(each in words for each in ("manifest unknown", "name unknown", "not found")):
        return NotFound(f"the registry at {source} has no such image")
    return InaeticsError(f"from {source}: {words[-500:]}")


def _progress(arrived: int, missing: int | None) -> str:
    if missing is None:
        return "STATUS=pulling"
    return f"STATUS=pulling {min(arrived, missing) / 1e6:.0f} of {missing / 1e6:.0f} MB"


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(LOOK_S)
    except subprocess.TimeoutExpired:
        return None


def _with_conf(engine: list[str], conf: str) -> list[str]:
    """The engine's command with another registries.conf: the one that sends it to a certain registry."""
    name = "CONTAINERS_REGISTRIES_CONF="
    return [f"{name}{conf}" if word.startswith(name) else word for word in engine]


def _here(settings: Settings, image: Image) -> str:
    """The id of the image that is here under this name, or nothing."""
    command = [*settings.engine, "image", "inspect", "--format", "{{.Id}}", image.text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip().removeprefix("sha256:") if done.returncode == 0 else ""


def _missing(settings: Settings, manifest: Mapping[str, Any]) -> int | None:
    """How many bytes have to come: the layers that are not here. None when the manifest does not say."""
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        return None
    present = set[str]()
    for file in Path(settings.root).glob("*-layers/layers.json"):
        with suppress(OSError, ValueError):  # unread, its layers only count as still to come
            present |= {each.get("compressed-diff-digest", "") for each in json.loads(file.read_bytes())}
    return sum(int(layer["size"]) for layer in layers if layer["digest"] not in present)


def _arrived(place: Path) -> int:
    """Bytes in the files that the engine fills while it pulls."""
    total = 0
    for directory, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):  # moved to its place between the two looks
                total += os.stat(f"{directory}/{name}").st_size
    return total


@contextmanager
def _first_pull(settings: Settings) -> Iterator[None]:
    """One at a time: the images of one host share most layers, and whoever comes second finds them here."""
    end = time.monotonic() + PATIENCE_S
    with Path(settings.lock).open("a") as lock:
        while time.monotonic() < end:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                notify("STATUS=waiting for another image to be pulled", f"EXTEND_TIMEOUT_USEC={EXTEND_US}")
                time.sleep(LOOK_S)
        yield


@contextmanager
def _beside() -> Iterator[None]:
    yield


def _silent(settings: Settings) -> set[str]:
    try:
        noted = json.loads(Path(f"{settings.lock}.silent").read_text())
        return {source for source, when in noted.items() if 0 <= time.time() - when < SILENT_S}
    except (OSError, ValueError, AttributeError, TypeError):  # nothing noted, or by other software: all are asked
        return set()


def _note_silent(settings: Settings, source: str) -> None:
    file = Path(f"{settings.lock}.silent")
    noted = dict.fromkeys(_silent(settings), time.time()) | {source: time.time()}
    with suppress(OSError):  # it saves a wait, no more
        replace_file(file, json.dumps(noted), durable=False)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def main() -> int:
    settings = Settings(**json.loads(Path(sys.argv[1]).read_text()))
    try:
        get(settings, parse(sys.argv[2]))
    except InaeticsError as error:
        _say(str(error))
        notify(f"STATUS={' '.join(str(error).split())}")  # so that whoever starts the unit reads it, not the journal
        time.sleep(HEARD_S)
        return 1
    notify("STATUS=")
    return 0


if __name__ == "__main__":
    sys.exit(main())
