"""The `bourse` command. A command is a typer function in a file of its own and a line in `COMMANDS`.

Exit codes: 0 done, 1 a check failed or something is down, 2 bad usage or bad input.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from streams.errors import UserError
from streams.settings import Settings
from streams.settings_file import unknown_environment

# name -> module:function. Imported when it is called (or for `--help`), so that `bourse status` doesn't wait for Dash.
COMMANDS = {
    "up": "infra.commands.up:up",
    "down": "infra.commands.down:down",
    "status": "infra.commands.status:status",
    "scale": "infra.commands.scale:scale",
    "doctor": "infra.commands.doctor:doctor",
    "topics": "infra.commands.topics:topics",
    "sql": "infra.commands.sql:sql",
    "rollups": "infra.commands.rollups:rollups",
    "analyst": "infra.commands.analyst:analyst",
    "explain": "infra.commands.explain:explain",
    "audit": "infra.commands.audit:audit",
    "replay": "infra.commands.replay:replay",
    "backtest": "infra.commands.backtest:backtest",
    "config": "infra.commands.config:config",
    "worker": "infra.commands.worker:worker",
    "publish": "infra.commands.publish:publish",
    "order": "infra.commands.market_trading:order",
    "cancel": "infra.commands.market_trading:cancel",
    "transfer": "infra.commands.market_trading:transfer",
    "positions": "infra.commands.market_view:positions",
    "account": "infra.commands.market_view:account",
    "depth": "infra.commands.market_view:depth",
    "trades": "infra.commands.market_view:trades",
    "keys": "infra.commands.market_operator:keys",
    "deposit": "infra.commands.market_operator:deposit",
    "gateway": "infra.commands.gateway:gateway",
    "autoscaler": "infra.commands.autoscaler:autoscaler",
    "ext-authz": "infra.commands.ext_authz:ext_authz",
    "bots": "infra.commands.bots:bots",
    "rebalance": "infra.commands.rebalance:rebalance",
    "bench": "infra.commands.bench:bench",
    "demo": "infra.commands.demo:demo",
    "forecast": "infra.commands.forecast:forecast",
    "simulate": "infra.commands.simulate:simulate",
    "backend": "infra.commands.backend:backend",
    "allocate": "infra.doors:allocate_command",
    "book": "infra.doors:book_command",
}


class _Commands(TyperGroup):
    """The table above, each command imported when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the library's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  the library's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), function)
        if isinstance(found, typer.Typer):  # of several commands
            return typer.main.get_command(found)
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(found)
        return typer.main.get_command(single)


app = typer.Typer(
    name="bourse",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Divides the capacity of shared LLM inference pools among tenants, on Kafka and ClickHouse.",
)


@app.callback()
def _root() -> None:
    """Divides the capacity of shared LLM inference pools among tenants, on Kafka and ClickHouse."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code. What the user got wrong, or what is down, is one line and never a traceback."""
    console = Console(stderr=True)
    for warning in unknown_environment(Settings.model_fields):
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    try:
        app(args=arguments, prog_name="bourse")
    except UserError as error:
        console.print(f"bourse: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `bourse … | head`: who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
