"""The command line `tidemill`: one group, its commands loaded only when they are called.

Exit codes: 0 done, 1 failed (one line on stderr: what is wrong and what to do about it), 2 wrong usage (the
same), 130 interrupted. Loading lazily keeps `tidemill version` at 50 ms where the whole engine takes half a
second to import.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from engine.errors import TidemillError, require_assertions

PROGRAM = "tidemill"

COMMANDS = {
    "serve": ("processes", "Run the engine: intake, streams and management API in one process."),
    "demo": ("processes", "A shop in a box: watch simulated customers travel the sample flows."),
    "check": ("documents", "Say what is wrong with flow documents: file, line, node, sentence."),
    "test": ("scenarios", "Run scenarios and show where the trace differs from what they expect."),
    "simulate": ("scenarios", "Run one scenario in virtual time and print its trace or its counts."),
    "backtest": ("backtests", "Run a flow over recorded events in virtual time and print its counts."),
    "eval": ("expressions", "Evaluate a condition on a context."),
    "import": ("imports", "Send a file of NDJSON lines to a running engine, exactly accounted."),
    "flows": ("flows", "Manage the flows of a running engine."),
    "contacts": ("contacts", "Look at the contacts of a running engine."),
    "keys": ("keys", "Create, list and revoke the keys of the API and of event senders."),
    "verify": ("vault", "Read everything in a data directory or backup, and say what is wrong."),
    "backup": ("vault", "Have a running engine copy its data directory."),
    "compact": ("vault", "Leave nothing in the files of contacts that were deleted."),
    "schema": ("documents", "Print the JSON Schema of flow documents, for editors."),
    "bench": ("bench", "Measure an engine on this machine and its disk, in about two minutes."),
    "version": ("processes", "Print the version."),
}
"""Command -> (module of api.cli.commands, one line of help). The order is that of `tidemill --help`."""


class Commands(click.Group):
    """A group that imports a command's module when it is asked for, and reports errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"api.cli.commands.{COMMANDS[cmd_name][0]}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Like click's own, but from the table: `--help` imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and exit with a code. Errors a person can mend become one line; ours keep their traceback."""
        try:
            require_assertions()
            code = super().main(args, PROGRAM, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else PROGRAM
            _stop(2, f"{error.format_message()} See `{command} --help`.", command)
        except click.ClickException as error:
            _stop(1, error.format_message())
        except TidemillError as error:
            _stop(1, str(error))
        except (click.Abort, KeyboardInterrupt):
            _stop(130, "interrupted.")
        except BrokenPipeError:
            _quiet_stdout()
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _stop(code: int, sentence: str, command: str = PROGRAM) -> NoReturn:
    line = " ".join(sentence.split())
    sys.stderr.write(f"{command}: {line}\n")
    sys.exit(code)


def _quiet_stdout() -> None:
    """The reader of our output went away (`tidemill … | head`); nothing is left to be flushed at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Settings as TOML. Default: TIDEMILL_CONFIG, or tidemill.toml of this directory if there is one.",
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Tidemill: an exact, fast and explainable engine for customer journeys.

    Begin with `tidemill demo`. Settings come from flags, then TIDEMILL_… variables, then tidemill.toml.
    """
    ctx.obj = config
