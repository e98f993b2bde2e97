"""`inaetics scale`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say
from inaetics.errors import InaeticsError, InvalidInput, NotFound
from inaetics.override import override

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.scale_wire import ScaleReply, ScaleReport

NO_LIMIT = "none"


def complete_set(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The sets that begin with what was typed: those of the cluster, or the shipped ones where it does not answer."""
    from inaetics.api.scale_client import scaling
    from inaetics.cli.scale_sets import shipped_sets
    from inaetics.cli.session import Session

    try:
        with Session(cluster=context.params.get("cluster") or "demo", request_timeout=2).client() as client:
            names = sorted(scaling(client).rules)
    except (InaeticsError, OSError):
        names = sorted(shipped_sets().sets)
    return [name for name in names if name.startswith(incomplete)]


class _Scale(click.Command):
    """To click a COUNT below 0 looks like an option that there is not."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            below = next((word for word in given if _BELOW_ZERO.fullmatch(word)), None)
            if below is None:
                raise
            raise click.UsageError(
                f"there cannot be {below} agents: COUNT is how many there shall be, 0 or more (for one fewer than now:"
                " 'inaetics scale' shows how many there are)",
                ctx,
            ) from error


_BELOW_ZERO = re.compile(r"-\d+(\.\d+)?")


@click.command("scale", cls=_Scale)
@click.argument("kind", metavar="[SET]", required=False, shell_complete=complete_set)
@click.argument("count", metavar="[COUNT]", type=click.IntRange(0, 1000), required=False)
@click.option("--auto", type=click.Choice(["on", "off"]), help="Let the autoscaler act on its own, or not.")
@click.option("--most", metavar="N", help="At most so many of SET, whoever asks; 'none': as many as there is room for.")
@click.option("--least", metavar="N", type=click.IntRange(0, 1000), help="At least so many of SET.")
@click.option("--plan", is_flag=True, help="Only say what that would start and destroy.")
@output_option
@cluster_option
def command(
    kind: str | None,
    count: int | None,
    auto: str | None,
    most: str | None,
    least: int | None,
    plan: bool,
    output: str,
    cluster: str,
) -> None:
    """Show how many agents of each SET run, or change that.

    \b
      inaetics scale                         the sets, their bounds, and what was decided lately
      inaetics scale processors              one of them
      inaetics scale processors 6            so many; returns once they are asked for, not once they run
      inaetics scale processors 6 --plan     what that would start or destroy
      inaetics scale --auto on               by itself, by how full the queue is
      inaetics scale processors --most 4     a bound, for everybody

    The demonstrator has `producers` (celix@1, then producer@1, 2 …) and `processors` (felix@3 and up, celix@2 and up).
    Each worker has room for one agent of a kind, so there are as many processors as workers at the most. Asking for a
    number of what the autoscaler changes ends automatic scaling.
    """
    from inaetics.cli.session import Session

    if count is not None and kind is None:
        raise click.UsageError("say of which SET there shall be so many")
    if (most is not None or least is not None) and kind is None:
        raise click.UsageError("--most and --least go with a SET")
    if plan and count is None:
        raise click.UsageError("--plan goes with a COUNT")
    with Session(cluster=cluster).client() as client:
        report = _change(client, kind, count, auto, most, least, plan)
    if report is None:
        return
    if kind is not None and kind not in report.rules:
        raise NotFound(f"there is no set {kind!r} (there are: {', '.join(sorted(report.rules)) or 'none'})")
    _show(report, kind, output)


def _change(
    client: FleetClient,
    kind: str | None,
    count: int | None,
    auto: str | None,
    most: str | None,
    least: int | None,
    plan: bool,
) -> ScaleReport | None:
    """Do what was asked; returns how it is now, None where only a plan was asked for."""
    from inaetics.api.scale_client import scale, scaling, set_automatic

    report = scaling(client)
    if kind is not None and (most is not None or least is not None):
        report = _bounds(client, report, kind, most, least)
    if kind is not None and count is not None:
        reply = scale(client, kind, count, plan=plan)
        _say(reply)
        if plan:
            return None
        if report.automatic and not reply.report.automatic:
            say("automatic scaling is off now (on again: inaetics scale --auto on)")
        report = reply.report
    if auto is not None:
        report = set_automatic(client, auto == "on")
    return report


def _bounds(client: FleetClient, report: ScaleReport, kind: str, most: str | None, least: int | None) -> ScaleReport:
    import msgspec

    from inaetics.api.scale_client import declare

    rule = report.rules.get(kind)
    if rule is None:
        raise NotFound(f"there is no set {kind!r} (there are: {', '.join(sorted(report.rules)) or 'none'})")
    changes: dict[str, Any] = {}
    if most is not None:
        if most != NO_LIMIT and not (most.isascii() and most.isdecimal()):
            raise InvalidInput(f"--most {most}: give a number, or {NO_LIMIT!r}")
        changes["most"] = None if most == NO_LIMIT else int(most)
    if least is not None:
        changes["least"] = least
    return declare(client, {**report.rules, kind: msgspec.structs.replace(rule, **changes)})


def _say(reply: ScaleReply) -> None:
    would = "would be " if reply.planned else ""
    for name in reply.started:
        click.echo(f"{name} {would}started")
    for name in reply.destroyed:
        click.echo(f"{name} {would}destroyed")
    if not reply.started and not reply.destroyed:
        say(f"there are {reply.after} {reply.kind} already: nothing to do")


def _show(report: ScaleReport, kind: str | None, output: str) -> None:
    shown = [each for each in report.sets if kind in (None, each.kind)]
    if output == "json":
        import msgspec

        print_json(msgspec.to_builtins({"automatic": report.automatic, "sets": shown, "decisions": report.decisions}))
        return
    if not shown:
        say("no sets are declared (the demonstrator's are by: inaetics demo, or inaetics_fleet_manager --start)")
        return
    rows = [
        (
            each.kind,
            str(each.wanted),
            str(each.running),
            f"{each.least} to {each.most}",
            "any" if each.limit is None else str(each.limit),
            str(each.room),
            ("on" if report.automatic else "off") if each.automatic else "never",
            " ".join(name.removesuffix(".service") for name in each.units),
        )
        for each in shown
    ]
    print_table(("SET", "WANTED", "RUNNING", "BOUNDS", "LIMIT", "ROOM", "AUTOMATIC", "AGENTS"), rows)
    _show_decisions(report, kind)


def _show_decisions(report: ScaleReport, kind: str | None) -> None:
    import datetime

    decisions = [each for each in report.decisions if kind in (None, each.kind)][:5]
    if not decisions:
        return
    click.echo("\nLately:")
    rows = [
        (
            datetime.datetime.fromtimestamp(each.at_ms / 1000, datetime.UTC).astimezone().strftime("%H:%M:%S"),
            each.kind,
            f"{each.before} → {each.after}",
            each.by,
            each.reason,
        )
        for each in decisions
    ]
    print_table(("TIME", "SET", "CHANGE", "BY", "BECAUSE"), rows)
