"""``baqup-agent lifecycle check``: does a lifecycle refine the contract, and if not, where?"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import click
from attrs import asdict, frozen

from baqup_agent.cli.lifecycle.target import find
from baqup_agent.cli.text import count, printable
from baqup_agent.contract import ExitCode
from baqup_agent.errors import UsageError
from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.proof import LifecycleProofError, prove
from baqup_agent.lifecycle.proof.rules import Finding, Severity, found, way_text
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError

#: Width of the text, columns.
_WIDTH = 90

#: Width of the column of severities and labels.
_LABEL = 8

_HELP = """Prove that the lifecycle of each TARGET refines the contract, or show where it does not.

\b
baqup-agent lifecycle check my_agent:MyAgent
baqup-agent lifecycle check --strict path/to/agent.py:MyAgent
baqup-agent lifecycle check --json contract stored.json

Each finding is told with its rule, the leaf, the shortest way there, and a remedy. An error means
that the lifecycle does not hold; a warning, that its author should look at it.
"""


@frozen
class Checked:
    """What came of one target.

    Attributes:
        name: what its lifecycle is called.
        lifecycle: the declaration; None if it cannot even be built.
        findings: what is wrong with it.
    """

    name: str
    lifecycle: Lifecycle | None
    findings: tuple[Finding, ...]

    def number(self, severity: Severity) -> int:
        """How many findings are that grave."""
        return sum(finding.severity is severity for finding in self.findings)

    def holds(self, *, strict: bool) -> bool:
        """Whether nothing forbids it: no error, and if ``strict`` no warning either."""
        return not (self.findings if strict else self.number(Severity.ERROR))


@click.command(
    "check",
    help=_HELP,
    epilog="Exit code: 0 if every lifecycle holds, 65 if one does not, 64 if a TARGET is none.",
)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each TARGET.")
@click.option("--strict", is_flag=True, help="Let a warning count as an error.")
def check_command(*, targets: tuple[str, ...], as_json: bool, strict: bool) -> int:
    """Prove the lifecycles in turn and print what was found."""
    codes = [_check(target, as_json=as_json, strict=strict) for target in targets]
    if ExitCode.USAGE_CONFIG_ERROR in codes:
        return ExitCode.USAGE_CONFIG_ERROR
    return max(codes)


def _check(target: str, *, as_json: bool, strict: bool) -> ExitCode:
    try:
        checked = _checked(target)
    except UsageError as error:
        # The others are still looked at.
        click.echo(f"baqup-agent lifecycle check: error: {_one_line(error.message)}", err=True)
        return ExitCode.USAGE_CONFIG_ERROR
    holds = checked.holds(strict=strict)
    if as_json:
        click.echo(json.dumps(_record(target, checked, holds=holds)))
    else:
        click.echo("\n".join(_lines(checked, holds=holds)))
    return ExitCode.SUCCESS if holds else ExitCode.DATA_ERROR


def _checked(target: str) -> Checked:
    """Find and prove a lifecycle.

    The class of an agent whose lifecycle does not hold cannot be made, so that its module fails
    on import; what the failure says of the lifecycle is then what was asked for.
    """
    try:
        there = find(target)
    except (LifecycleDeclarationError, UsageError) as error:
        cause = error.__cause__ if isinstance(error, UsageError) else error
        if not isinstance(cause, LifecycleDeclarationError) or _is_missing_file(target):
            raise UsageError(str(error)) from error
        return _refused(target, cause)
    return Checked(there.name, there.lifecycle, prove(there.lifecycle).findings)


def _is_missing_file(target: str) -> bool:
    return ":" not in target and not Path(target).is_file()


def _refused(target: str, error: LifecycleDeclarationError) -> Checked:
    if isinstance(error, LifecycleProofError):
        return Checked(error.name or target, error.proof.lifecycle, error.proof.findings)
    # A stored lifecycle tells several problems at once.
    problems = getattr(error, "problems", None) or (str(error),)
    return Checked(target, None, tuple(_unbuilt(str(problem)) for problem in problems))


def _unbuilt(problem: str) -> Finding:
    message, _, remedy = problem.rpartition("; ")
    return found("declaration", None, message or remedy, remedy if message else "correct it")


def _lines(checked: Checked, *, holds: bool) -> list[str]:
    lines = [line for finding in checked.findings for line in _finding_lines(finding)]
    return [*lines, _closing(checked, holds=holds)]


def _finding_lines(finding: Finding) -> list[str]:
    colour = "red" if finding.severity is Severity.ERROR else "yellow"
    word = click.style(f"{finding.severity:<{_LABEL}}", fg=colour, bold=True)
    place = f"  {printable(finding.leaf, _WIDTH)}" if finding.leaf else ""
    lines = [f"{word} {click.style(finding.rule, bold=True)}{place}", *_item("", finding.message)]
    if finding.path:
        lines += _item("path", way_text(finding.path))
    return [*lines, *_item("remedy", finding.remedy)]


def _item(label: str, text: str) -> list[str]:
    # Names are not broken, long as they may be: they are to be searched for.
    first = f"  {label:<{_LABEL - 2}} "
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _closing(checked: Checked, *, holds: bool) -> str:
    parts = _size(checked)
    if holds:
        parts.append(click.style("proven", fg="green"))
    parts += [
        click.style(count(number, severity.value), fg=colour)
        for severity, colour in ((Severity.ERROR, "red"), (Severity.WARNING, "yellow"))
        if (number := checked.number(severity))
    ]
    return f"{printable(checked.name)}: {', '.join(parts)}"


def _size(checked: Checked) -> list[str]:
    lifecycle = checked.lifecycle
    if lifecycle is None:
        return []
    leaves, edges = len(lifecycle.states), len(lifecycle.transitions)
    return [f"{leaves:,} {'leaf' if leaves == 1 else 'leaves'}", count(edges, "edge")]


def _record(target: str, checked: Checked, *, holds: bool) -> dict[str, Any]:
    lifecycle = checked.lifecycle
    return {
        "type": "proof",
        "target": target,
        "name": checked.name,
        "holds": holds,
        "leaves": len(lifecycle.states) if lifecycle else None,
        "edges": len(lifecycle.transitions) if lifecycle else None,
        "errors": checked.number(Severity.ERROR),
        "warnings": checked.number(Severity.WARNING),
        "findings": [asdict(finding) for finding in checked.findings],
    }


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
