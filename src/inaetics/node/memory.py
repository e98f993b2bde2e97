"""What an agent keeps on disk: archives, the deployment that ran last, and how often one was tried.

Every file is whole or not there: a process that is killed at any instant finds what was good before. An archive is
named for its content and checked when it is opened. A full disk costs the memory, not what runs.

A deployment that ends the whole process (it hangs the framework, exhausts memory, calls ``os._exit``) would be tried
again by the next process for ever. So each try is written down before it begins, and after `MOST_TRIES` that did not
come to an end the deployment is refused.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from inaetics.bundles.archive import Archive, open_archive
from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.errors import InvalidInput, Unavailable
from inaetics.files import replace_file

log = structlog.get_logger()

MOST_TRIES = 3


class _Try(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    times: int


class Memory:
    """`directory` is its own and outlives it. Use it from one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.archives = directory / "bundles"
        self._record = directory / "deployment.json"
        self._trying = directory / "trying.json"

    def path(self, bundle: DeployedBundle) -> Path:
        """Where a bundle's archive is kept: one file for each content, never overwritten while it is used."""
        return self.archives / f"{bundle.name}-{bundle.version}-{bundle.sha256[:16]}.zip"

    def keep(self, bundle: DeployedBundle, body: bytes) -> Archive:
        """Keep a downloaded archive after checking it.

        Raises `InvalidInput` when it is not what the deployment says and `Unavailable` when it cannot be kept.
        """
        path = self.path(bundle)
        partial = path.with_suffix(".partial")
        try:
            self.archives.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(body)
            archive = open_archive(partial, sha256=bundle.sha256)
            if archive.manifest.key != f"{bundle.name}-{bundle.version}":
                raise InvalidInput(f"the archive of {bundle.name}-{bundle.version} says it is {archive.manifest.key}")
            partial.replace(path)
        except OSError as error:
            raise Unavailable(
                f"cannot keep bundle {bundle.name}-{bundle.version} ({len(body)} bytes) in {self.archives}: "
                f"{error.strerror or error} (make room there; what ran runs on)"
            ) from error
        finally:
            with suppress(OSError):  # `remember` drops what is left
                partial.unlink(missing_ok=True)
        return open_archive(path, sha256=bundle.sha256)

    def kept(self, bundle: DeployedBundle) -> Archive:
        """The archive of a bundle if it is there and whole; raises `InvalidInput` otherwise."""
        return open_archive(self.path(bundle), sha256=bundle.sha256)

    def last(self) -> Deployment | None:
        """The deployment that ran last; None when there was none, or what is written cannot be read."""
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Deployment)
        except (OSError, msgspec.DecodeError):
            return None

    def tried(self, version: str) -> bool:
        """Whether this deployment was begun and never ended: the process died in it."""
        return self._times(version) > 0

    def begin(self, version: str) -> None:
        """A deployment is about to be installed. Raises `InvalidInput` when it was begun too often and never ended."""
        times = self._times(version)
        if times >= MOST_TRIES:
            raise InvalidInput(
                f"the agent ended {times} times while it installed deployment {version}: it is not tried again "
                "(deploy another version; the agent's log says what came last)"
            )
        self._write(self._trying, _Try(version=version, times=times + 1))

    def never_again(self, version: str) -> None:
        """Refuse this version from the next start on, however often it was tried."""
        self._write(self._trying, _Try(version=version, times=MOST_TRIES))

    def end(self) -> None:
        """The try came to an end, good or bad."""
        with suppress(OSError):  # it stays: one more start of the same version begins with a doubt
            self._trying.unlink(missing_ok=True)

    def remember(self, deployment: Deployment) -> None:
        """Write down what runs, and drop archives that are in it no more."""
        self._write(self._record, deployment)
        keep = {self.path(bundle) for bundle in deployment.bundles}
        for path in self.archives.glob("*"):
            if path not in keep:
                with suppress(OSError):  # it takes room until the next deployment, no more
                    path.unlink()

    def _times(self, version: str) -> int:
        try:
            found = msgspec.json.decode(self._trying.read_bytes(), type=_Try)
        except (OSError, msgspec.DecodeError):  # none was under way
            return 0
        return found.times if found.version == version else 0

    def _write(self, path: Path, value: msgspec.Struct) -> None:
        try:
            replace_file(path, msgspec.json.encode(value))
        except OSError as error:
            log.warning("cannot remember", file=str(path), error=str(error))
