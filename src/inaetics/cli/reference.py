"""`python -m inaetics.cli.reference`: the commands' reference as Markdown, from the commands themselves.

What is printed is committed as docs/reference/commands.md; a test says when it is out of date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

HEADER = """\
# Commands

<!-- generated: python -m inaetics.cli.reference > docs/reference/commands.md -->

Three programs are installed: [inaetics](#inaetics) for hosts, [fleetctl](#fleetctl) for units and
[inaetics_fleet_manager](#inaetics_fleet_manager) for the demonstrator as a whole.

| exit code | what it says |
|---|---|
| 0 | done |
| 1 | failed: the error says what and why; a unit failed, or took longer than it was given |
| 2 | what was given is wrong: nothing was changed |
| 3 | something does not answer now, or a unit waits for a machine; `status`: a unit does not run |
| 4 | what was named does not exist |
| 5 | in conflict with what is there |
| 6 | not allowed: the certificate or the token does not open it |
| 130 | interrupted |
"""


def reference() -> str:
    """The whole page."""
    from inaetics.cli.fleet_manager import fleet_manager
    from inaetics.cli.fleetctl import fleetctl
    from inaetics.cli.inaetics import inaetics

    sections = [HEADER]
    for name, command in (
        ("inaetics", inaetics),
        ("fleetctl", fleetctl),
        ("inaetics_fleet_manager", fleet_manager),
    ):
        context = click.Context(command, info_name=name)
        sections += _sections(context, level=2)
    return "\n".join(sections)


def _sections(context: click.Context, *, level: int) -> Iterator[str]:
    """A command's section, then its subcommands'."""
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    yield "\n".join([f"{'#' * level} {context.command_path}", "", f"`{context.command_path} {usage}`", ""])
    yield _prose(command.help or "")
    yield from _options(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _sections(click.Context(child, info_name=name, parent=context), level=level + 1)


def _prose(text: str) -> str:
    """A help text: paragraphs as they are, what click must not wrap as code."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: str) -> str:
    lines = block.split("\n")
    if lines[0].strip() != "\b":
        return block
    return "\n".join(["```", *inspect.cleandoc("\n".join(lines[1:])).split("\n"), "```"])


def _options(context: click.Context) -> Iterator[str]:
    records = [
        record
        for parameter in context.command.get_params(context)
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts
        if (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records]
        yield "\n".join(["| option | |", "|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    sys.stdout.write(reference())
