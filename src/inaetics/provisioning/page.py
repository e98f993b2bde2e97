"""The server's page: targets and what they run, bundles, the mapping. One HTML text, made anew for each request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from inaetics.errors import Unavailable
from inaetics.provisioning.desk import Contact, Desk

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#c0392b;--dim:#888}
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .9rem .35rem 0;vertical-align:top}
th{font-weight:600;border-bottom:2px solid var(--line)}td{border-bottom:1px solid var(--line)}
.scroll{overflow-x:auto}code{font-size:.9em}.dim{color:var(--dim)}.bad{color:var(--bad)}
"""


def render(desk: Desk, *, now: float | None = None) -> str:
    """The page. `now` is the monotonic clock, read when it is not given."""
    now = time.monotonic() if now is None else now
    body = "\n".join((_targets(desk, now), _mapping(desk), _bundles(desk)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Provisioning</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f'<meta http-equiv="refresh" content="5"><style>{_STYLE}</style></head>'
        f"<body><h1>Provisioning</h1>\n{body}\n</body></html>\n"
    )


def _mapping(desk: Desk) -> str:
    state = desk.state
    if state.mapping is None:
        text = '<p class="bad">No mapping is in force: agents keep what they run.</p>'
    else:
        rules = [(_code(rule.target), ", ".join(escape(b.key) for b in rule.bundles)) for rule in state.mapping.rules]
        text = f"<p>From {escape(state.source)}.</p>" + _table(("Target", "Bundles, in the order they start"), rules)
    if state.error:
        text += f'<p class="bad">A newer mapping was refused: {escape(state.error)}</p>'
    return f"<h2>Mapping</h2>{text}"


def _targets(desk: Desk, now: float) -> str:
    rows = [_target(desk, contact, now) for contact in desk.contacts]
    head = ("Target", "Deployment", "Bundles", "Last contact")
    return "<h2>Targets</h2>" + (_table(head, rows) if rows else '<p class="dim">No agent has asked yet.</p>')


def _target(desk: Desk, contact: Contact, now: float) -> tuple[str, ...]:
    try:
        shall = desk.deployment(contact.target)
        version, bundles = shall.version, ", ".join(escape(f"{b.name}-{b.version}") for b in shall.bundles)
    except Unavailable:
        version, bundles = "", ""
    runs = _code(contact.running) if contact.running else '<span class="dim">nothing yet</span>'
    if version != contact.running:
        runs += f'<br><span class="dim">shall run</span> {_code(version)}'
    if contact.error:
        runs += f'<br><span class="bad">{escape(contact.error)}</span>'
    seen = "there now" if contact.held else f"{max(now - contact.at, 0):.0f} s ago"
    return (
        f'{_code(contact.target)}<br><span class="dim">{escape(contact.where)}</span>',
        runs,
        bundles or '<span class="dim">none</span>',
        seen,
    )


def _bundles(desk: Desk) -> str:
    rows = [
        (escape(a.manifest.name), escape(a.manifest.version), f"{a.size / 1024:.0f} KB", _code(a.sha256[:16]))
        for _, a in sorted(desk.repository.archives.items())
    ]
    refused = "".join(f'<p class="bad">{escape(text)}</p>' for text in desk.repository.refused)
    return "<h2>Bundles</h2>" + _table(("Name", "Version", "Size", "sha256"), rows) + refused


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
