"""What the machine's own package manager knows: which Debian (or Ubuntu) this is, and where its packages come from.

Base images are made from the same sources the machine itself is kept up to date with, so a local mirror or a proxy
that somebody configured is used here too. Sources of other parties and of other releases are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from inaetics.containers.process import find_program, run
from inaetics.errors import NotFound

_ASK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The machine's distribution; `codename` is the suite's ("bookworm")."""

    name: str
    codename: str
    architecture: str


def distribution(os_release: Path = Path("/etc/os-release")) -> Distribution:
    """Tell which distribution this is; raises `NotFound` where it is not one with apt."""
    text = os_release.read_text() if os_release.exists() else ""
    facts = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, flags=re.MULTILINE))
    if not facts.get("VERSION_CODENAME"):
        raise NotFound(
            f"base images are made from Debian packages, and this system ({facts.get('PRETTY_NAME', 'unknown')}) "
            "is neither Debian nor Ubuntu: build them on such a machine and push them to the registry"
        )
    dpkg = find_program("dpkg", package="dpkg")
    architecture = run([dpkg, "--print-architecture"], doing="ask for the architecture", timeout_s=_ASK_S)
    return Distribution(name=facts.get("ID", ""), codename=facts["VERSION_CODENAME"], architecture=architecture)


def apt_sources(codename: str, etc: Path = Path("/etc/apt")) -> dict[str, str]:
    """The machine's sources of its own release: file names for mmdebstrap (`*.list`, `*.sources`) to their text.

    Raises `NotFound` when there is none.
    """
    lines: list[str] = []
    stanzas: list[str] = []
    parts = sorted((etc / "sources.list.d").glob("*"))
    for file in [etc / "sources.list", *parts]:
        if file.suffix == ".list" and file.exists():
            lines += [line for line in file.read_text().splitlines() if _is_line_of(line, codename)]
        elif file.suffix == ".sources":
            stanzas += [stanza for stanza in _stanzas(file.read_text()) if _is_stanza_of(stanza, codename)]
    if not lines and not stanzas:
        raise NotFound(f"no package source for {codename} in {etc}/sources.list or {etc}/sources.list.d")
    found = {"machine.list": "\n".join(lines) + "\n", "machine.sources": "\n\n".join(stanzas) + "\n"}
    return {name: text for name, text in found.items() if text.strip()}


def apt_network_options() -> list[str]:
    """apt's own options about proxies and certificates on this machine, in apt.conf syntax."""
    apt_config = find_program("apt-config", package="apt")
    dump = run([apt_config, "dump"], doing="ask apt for its configuration", timeout_s=_ASK_S)
    pattern = r'^Acquire::https?::(?:Proxy|[\w.-]+::Proxy|CaInfo|SslCert|SslKey)[\w:.-]* ".+";$'
    return [line for line in dump.splitlines() if re.match(pattern, line, flags=re.IGNORECASE)]


def _is_line_of(line: str, codename: str) -> bool:
    match = re.match(r"^deb\s+(?:\[[^]]*\]\s+)?\S+\s+(\S+)\s", line)
    return bool(match and _is_suite_of(match[1], codename))


def _is_stanza_of(stanza: str, codename: str) -> bool:
    fields = {name.lower(): value for name, value in re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.MULTILINE)}
    if fields.get("enabled", "yes").lower() in ("no", "false") or "deb" not in fields.get("types", "").split():
        return False
    suites = fields.get("suites", "").split()
    return bool(suites) and all(_is_suite_of(suite, codename) for suite in suites)


def _is_suite_of(suite: str, codename: str) -> bool:
    """The release itself, its updates and its security updates; not its backports nor what is only proposed."""
    return suite.split("/")[0] in (codename, f"{codename}-updates", f"{codename}-security")


def _stanzas(text: str) -> list[str]:
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [stanza.strip() for stanza in re.split(r"\n[ \t]*\n", kept) if stanza.strip()]
