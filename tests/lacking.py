"""What a test may lack on a developer's machine, and must have in continuous integration."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test for want of something; in continuous integration that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, which continuous integration has to have")
    pytest.skip(what)


def command(name: str) -> str:
    """Return the path of a program that only judges; without it the test lacks something."""
    return shutil.which(name) or lacking(f"a second oracle, the command {name}, is absent")
