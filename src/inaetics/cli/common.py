"""What every command line of ours shares: clean errors, lazy subcommands, tables, `--output json`.

Promises: an expected error is one `error: …` line on stderr and the error's own exit code, never a traceback; asking
for help imports no command; what is printed as JSON is printed alone, so that it can be piped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn, TypeVar

import click

from inaetics.errors import InaeticsError, InvalidInput, leaves
from inaetics.override import override
from inaetics.terminal import painted

Command = TypeVar("Command", bound=Callable[..., Any])

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

BROKEN_PIPE = 141
"""Exit code when the reader of our output went away: 128 + SIGPIPE."""


MAX_TIMEOUT_S = 86400.0


def some_seconds(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Check a time to wait: neither nothing nor what is no number nor longer than a socket can wait."""
    if not 0 < value <= MAX_TIMEOUT_S:
        raise click.BadParameter(f"{value:g} is no time to wait: more than 0 seconds, at most {MAX_TIMEOUT_S:g}")
    return value


def output_option(command: Command) -> Command:
    """Add `--output table|json`, passed to the command as `output`."""
    option = click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="A table for people, or JSON for scripts.",
    )
    return option(command)


def cluster_option(command: Command) -> Command:
    """Add `--cluster NAME`, passed to the command as `cluster`."""
    option = click.option(
        "--cluster",
        metavar="NAME",
        envvar="INAETICS_CLUSTER",
        default="demo",
        show_default=True,
        help="Which cluster; several live side by side, each on a subnet of its own.",
    )
    return option(command)


def print_json(value: object) -> None:
    """Print one JSON document: indented on a terminal, one line otherwise."""
    import json

    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def table_lines(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Columns padded to their widest cell, two spaces between, `-` for what is empty; no spaces at line ends."""
    cells = [[str(cell) if cell not in (None, "") else "-" for cell in row] for row in rows]
    lines = [list(headers), *cells] if headers else cells
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))] if lines else []
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` under `headers` (none: no header line)."""
    for line in table_lines(headers, rows):
        click.echo(line)


def confirm(question: str) -> None:
    """Ask a person, and go on after a yes; raises `InvalidInput` where nobody can be asked, and after a no."""
    if not sys.stdin.isatty():
        raise InvalidInput(f"nothing was done: there is nobody here to ask {question!r} (--yes: do not ask)")
    if not click.confirm(question, err=True):
        raise InvalidInput("nothing was done")


def say(text: str) -> None:
    """Tell people something that is not the command's result: it goes to stderr."""
    click.echo(text, err=True)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run.

    `lazy` maps a command's name to (`module:attribute`, one line of help), in the order of the help page; those in
    `unlisted` are on no page.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, tuple[str, str]],
        unlisted: Mapping[str, tuple[str, str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy)
        self._modules = {name: module for name, (module, _) in {**lazy, **(unlisted or {})}.items()}

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *super().list_commands(ctx)]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        module, attribute = self._modules[cmd_name].split(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no click command")
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one name the nearest."""
        name = args[0]
        if name not in self._modules and not name.startswith("-") and super().get_command(ctx, name) is None:
            raise click.UsageError(f"no such command: {name!r}{nearest(name, self.lazy)}", ctx)
        return super().resolve_command(ctx, args)

    @override
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete command names without importing them."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=text) for name, (_, text) in self.lazy.items() if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def nearest(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is near."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def run(command: click.Command, name: str) -> NoReturn:
    """Run `command` as the program `name` and leave the process with its exit code.

    A command exits with 0, with an int it returns, or with the exit code of the error it raised.
    """
    _open_what_is_closed()
    output = sys.stdout
    try:
        result = command.main(prog_name=name, standalone_mode=False)
    except SystemExit as ended:  # click's own way to end; for a reader that went away it wraps what is written to
        code = BROKEN_PIPE if sys.stdout is not output else ended.code
    except click.ClickException as error:
        code = _show_usage_error(error)
    except click.Abort:
        say("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    except (InaeticsError, OSError, BaseExceptionGroup) as error:
        code = show_error(error)
    else:
        code = result if isinstance(result, int) else 0
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Python has None for an output that was closed before it began (`>&-`): what is said there goes nowhere."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process


def show_error(error: BaseException) -> int:
    """Print every expected error in `error`, once each; return the exit code. What is unexpected is raised again.

    What the operating system refuses (a full disk, a missing right) is expected here: a person can do something about
    it. With INAETICS_DEBUG=1 everything is raised, to see where it comes from.
    """
    expected, unexpected = _sorted_out(error)
    if unexpected or not expected or os.environ.get("INAETICS_DEBUG") == "1":
        raise error
    for message in dict.fromkeys(map(_message, expected)):
        click.echo(painted("error: ", "red", "bold") + message, err=True)
    return next((each.exit_code for each in expected if isinstance(each, InaeticsError)), InaeticsError.exit_code)


def _sorted_out(error: BaseException) -> tuple[list[InaeticsError | OSError], list[BaseException]]:
    expected: list[InaeticsError | OSError] = []
    unexpected: list[BaseException] = []
    for leaf in leaves(error):
        if isinstance(leaf, InaeticsError) or (isinstance(leaf, OSError) and leaf.errno is not None):
            expected.append(leaf)
        else:
            unexpected.append(leaf)
    return expected, unexpected


def _message(error: InaeticsError | OSError) -> str:
    if isinstance(error, InaeticsError):
        return str(error)
    what = f"{error.filename}: " if error.filename is not None else ""
    return f"{what}{error.strerror or type(error).__name__}"


def _elsewhere(error: click.NoSuchOption) -> str:
    """Where an option belongs that was written behind a command and is its group's, or the other way round."""
    here = error.ctx
    if here is None:
        return ""
    above = here.parent
    while above is not None:
        if any(error.option_name in parameter.opts for parameter in above.command.get_params(above)):
            return f" It goes before the command: {above.command_path} {error.option_name} … {here.info_name}"
        above = above.parent
    if not isinstance(here.command, click.Group):
        return ""
    for word in sys.argv[1:]:
        below = here.command.get_command(here, word) if word in here.command.list_commands(here) else None
        if below is not None and any(error.option_name in parameter.opts for parameter in below.params):
            return f" It goes behind the command: {here.command_path} {word} {error.option_name} …"
    return ""


def _show_usage_error(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return error.exit_code
    where = _elsewhere(error) if isinstance(error, click.NoSuchOption) else ""
    click.echo(painted("error: ", "red", "bold") + error.format_message() + where, err=True)
    if context is not None:
        say(f"try: {context.command_path} --help")
    return error.exit_code
