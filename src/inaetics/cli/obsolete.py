"""Options of the original that have no meaning here: taken where they ask for what is so anyway, refused with a
sentence where they ask for something else. They are not shown in the help.

The original also took each of its global options from the environment, `FLEETCTL_DRIVER` for `--driver`: these are
refused alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

Command = TypeVar("Command", bound=Callable[..., Any])

_TRUE = frozenset({"1", "t", "true", "yes", "on"})

_TAKEN = {
    "driver": (frozenset({"api"}), "the fleet is spoken to through its API only (--driver=api)"),
    "experimental-api": (_TRUE, "the fleet is spoken to through its API only"),
}
"""Options with a value: which values are what is done anyway, and why others cannot be had."""

_REFUSED = {
    "etcd-key-prefix": "fleetctl does not speak to etcd, and the fleet's keys have one place",
    "etcd-keyfile": "fleetctl does not speak to etcd: give --key-file",
    "etcd-certfile": "fleetctl does not speak to etcd: give --cert-file",
    "etcd-cafile": "fleetctl does not speak to etcd: give --ca-file",
}

SIGN = "units are not signed: the certificate of whoever submits them is what counts"

NAMES = frozenset({*_TAKEN, *_REFUSED, "sign", "debug"})


def obsolete_options(command: Command) -> Command:
    """Add the global ones."""
    for name, (taken, why) in _TAKEN.items():
        command = _option(name, _taking(name, taken, why))(command)
    for name, why in _REFUSED.items():
        command = _option(name, _refusing(name, why))(command)
    return click.option("--debug", is_flag=True, hidden=True, expose_value=False, callback=_debug)(command)


def sign_option(command: Command) -> Command:
    """Add `--sign`, which the original itself gave up."""
    refusing = _refusing("sign", SIGN)
    return click.option("--sign", is_flag=True, hidden=True, expose_value=False, callback=refusing)(command)


def ssh_port_option(command: Command) -> Command:
    """Add `--ssh-port` to what once went over ssh: whatever is given, it is not needed."""
    return click.option("--ssh-port", type=int, hidden=True, expose_value=False)(command)


def _option(name: str, callback: Callable[..., None]) -> Callable[[Command], Command]:
    return click.option(f"--{name}", hidden=True, expose_value=False, callback=callback, envvar=_variable(name))


def _taking(name: str, taken: frozenset[str], why: str) -> Callable[..., None]:
    def look(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None and value.lower() not in taken:
            raise click.UsageError(f"{_given(context, parameter, name)}={value} cannot be had: {why}")

    return look


def _refusing(name: str, why: str) -> Callable[..., None]:
    def look(context: click.Context, parameter: click.Parameter, value: str | bool | None) -> None:
        if value:
            raise click.UsageError(f"{_given(context, parameter, name)} cannot be had: {why}")

    return look


def _variable(name: str) -> str:
    return f"FLEETCTL_{name.upper().replace('-', '_')}"


def _given(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """How an option was given: by its name, or by its variable."""
    source = context.get_parameter_source(parameter.name or "")
    return _variable(name) if source is ParameterSource.ENVIRONMENT else f"--{name}"


def _debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Show where errors come from."""
    if value:
        import os

        os.environ["INAETICS_DEBUG"] = "1"
