"""Print the reference of directives and container keys: `python -m inaetics.units.directives_table`.

A test compares `docs/reference/directives.md` with this, so the page cannot fall behind the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from inaetics.units.container_keys import KEYS
from inaetics.units.directives import DIRECTIVES, SECTIONS, Standing

_INTRODUCTION = """\
# Directives of units

<!-- generated: python -m inaetics.units.directives_table > docs/reference/directives.md -->

What a unit file may say in `[Unit]`, `[Service]`, `[Install]` and `[Container]`. The meanings are those of
systemd.unit(5), systemd.service(5), systemd.exec(5) and podman-systemd.unit(5). A directive that stands nowhere on this
page is unknown, and `fleetctl submit` and `fleetctl verify` name it with its line; so they do with a refused one, and
say why. Sections and directives that begin with `X-` are for other programs and are left alone.
[unit-files.md](unit-files.md) describes the syntax and `[X-Fleet]`.
"""

_HEADINGS = {
    Standing.HONOURED: ("Honoured", "What is understood"),
    Standing.IRRELEVANT: ("Accepted, without effect", "Why nothing depends on it"),
    Standing.REFUSED: ("Refused", "Why, or what to use"),
}

_CONTAINER_INTRODUCTION = """\
## [Container]

A unit with this section is turned into a service for the container engine of the host it runs on. Values may hold
specifiers (`%i`) and variables of the host's environment (`${INAETICS_REGISTRY}`).
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_directives(), _CONTAINER_INTRODUCTION, *_keys()])


def _directives() -> Iterator[str]:
    for section in SECTIONS:
        yield f"## [{section}]\n"
        for standing, (heading, meaning) in _HEADINGS.items():
            rows = _rows(section, standing)
            if rows:
                yield f"### {heading} in [{section}]\n"
                yield f"| directive | {meaning[0].lower()}{meaning[1:]} |\n|---|---|"
                yield "\n".join(rows) + "\n"


def _rows(section: str, standing: Standing) -> list[str]:
    """One row for each note, with the directives that share it."""
    by_note: dict[str, list[str]] = {}
    for directive in DIRECTIVES:
        if (directive.section, directive.standing) == (section, standing):
            by_note.setdefault(directive.note, []).append(f"`{directive.name}`")
    return [f"| {', '.join(names)} | {note} |" for note, names in by_note.items()]


def _keys() -> Iterator[str]:
    yield "| key | value | becomes | note |\n|---|---|---|---|"
    yield "\n".join(
        f"| `{key.name}` | {key.form} | {f'`{key.flag}`' if key.flag else ''} | {key.note} |"
        for key in KEYS
        if not key.refused
    )
    yield "\n### Refused in [Container]\n\n| key | why, or what to use |\n|---|---|"
    by_note: dict[str, list[str]] = {}
    for key in KEYS:
        if key.refused:
            by_note.setdefault(key.note, []).append(f"`{key.name}`")
    yield "\n".join(f"| {', '.join(names)} | {note} |" for note, names in by_note.items()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
