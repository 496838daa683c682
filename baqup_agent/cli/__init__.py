"""The command line ``baqup-agent``: run, verify, explain, lifecycle, bus and more.

`main` is the console script. Nothing slow is imported before a command needs it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from baqup_agent.contract import ExitCode
from baqup_agent.errors import BaqupError

#: What a shell reports for a program that Ctrl-C ended.
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code.

    Args:
        argv: the arguments without the program's name; None takes the process's own.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a poor locale must not end a run
    code = run(argv)
    try:
        sys.stdout.flush()
    except OSError:
        # The reader went away, or the disk is full: the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    import click

    from baqup_agent.cli.app import PROGRAM, cli

    try:
        code = cli.main(argv, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        _tell_click_error(error)
        return ExitCode.USAGE_CONFIG_ERROR
    except BaqupError as error:
        _tell(f"{PROGRAM}: error: {error.message}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _tell(f"{PROGRAM}: interrupted")
        return _INTERRUPTED
    except OSError as error:
        _tell(f"{PROGRAM}: error: {error}; check the disk and the permissions")
        return ExitCode.IO_ERROR
    except Exception:  # noqa: BLE001  a bug: shown whole, and told apart from an agent's failure
        import traceback

        traceback.print_exc()
        return ExitCode.INTERNAL_ERROR
    return code if isinstance(code, int) else ExitCode.SUCCESS


def _tell_click_error(error: object) -> None:
    import click

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _tell(error.format_message())
        return
    assert isinstance(error, click.ClickException)  # noqa: S101  the one caller's promise
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "baqup-agent"
    message = " ".join(error.format_message().split())
    _tell(f"{path}: error: {message} See '{path} --help'.")


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201  a command line's errors go to stderr
