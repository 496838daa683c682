"""Runs the command line as its own process, as a person would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import tests

CHECKOUT = Path(tests.__file__).resolve().parent.parent
STAND_IN = str(CHECKOUT / "tests" / "controller" / "stand_in.py")
PROGRAM = [sys.executable, "-m", "baqup_agent.cli"]


def environment(**changes: str) -> dict[str, str]:
    """The environment of the command line: ours, without what would change its behaviour."""
    foreign = ("BAQUP_", "PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    ours = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    path = os.pathsep.join(filter(None, [str(CHECKOUT), ours.get("PYTHONPATH")]))
    return {**ours, "PYTHONPATH": path, **changes}


def baqup_agent(*arguments: object, **changes: Any) -> subprocess.CompletedProcess[str]:
    """Run ``baqup-agent`` to its end; keyword arguments change its environment."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(**changes),
    )


def run_stand_in(behaviour: str, staging: Path, *more: object) -> subprocess.CompletedProcess[str]:
    """Run the stand-in agent under the command line."""
    behave = f"BEHAVIOUR={behaviour}"
    return baqup_agent("run", STAND_IN, "snapshot", "--staging", staging, "--env", behave, *more)


def objects(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects of a text, one a line."""
    return [json.loads(line) for line in text.splitlines()]


def traced() -> list[str]:
    """Options that let an agent's coverage be measured, where it is measured at all."""
    names = [name for name in os.environ if name.startswith(("COVERAGE_", "COV_"))]
    return [part for name in names for part in ("--env", f"{name}={os.environ[name]}")]
