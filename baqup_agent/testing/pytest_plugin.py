"""``pytest --baqup-agent "./my-agent"``: the checks of the conformance suite as pytest's items.

pytest loads this module in every run, wherever the package is installed; so it imports nothing
before the option is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("baqup", "conformance of a baqup agent")
    group.addoption(
        "--baqup-agent",
        metavar="COMMAND",
        help="collect the checks of the conformance suite, to judge this agent",
    )
    group.addoption(
        "--baqup-conform-config", metavar="FILE", help="default: conform.toml, if it is there"
    )
    group.addoption(
        "--baqup-conform-only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="section, number, range or id of checks; may be repeated",
    )
    group.addoption(
        "--baqup-conform-seed", type=int, default=0, metavar="N", help="of what is drawn at random"
    )
    group.addoption(
        "--baqup-conform-full", action="store_true", help="sweeps at full length, true intervals"
    )
    group.addoption("--baqup-conform-strict", action="store_true", help="a broken SHOULD counts")


def pytest_configure(config: pytest.Config) -> None:
    """Bring the collector in, if there is an agent to judge."""
    if config.getoption("--baqup-agent") is not None:
        from baqup_agent.testing.conformance_items import Conform

        config.pluginmanager.register(Conform(config), "baqup-conform")
