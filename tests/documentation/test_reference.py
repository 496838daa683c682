"""The reference is what docstrings and declarations say."""

from __future__ import annotations

from baqup_agent import __all__ as names
from baqup_agent.contract import EVENT_CODES, EXIT_CODES
from tests.reference import PAGE, reference, squeezed


def test_the_reference_is_fresh() -> None:
    """Refresh it with `python -m tests.refresh`."""
    shown = PAGE.read_text("utf-8")

    assert squeezed(shown) == squeezed(reference()), "stale; refresh with: python -m tests.refresh"


def test_the_reference_is_complete() -> None:
    """Each public name, exit code and event code, and each command, stands in it."""
    text = reference()

    for name in names:
        assert name.startswith("__") or f"\n#### `{name}" in text, name
    for code in EXIT_CODES:
        assert f"\n| {int(code)} | `{code.name}` |" in text
    for event in EVENT_CODES:
        assert f"\n| `{event}` |" in text
    for command in ("run", "verify", "conform", "bus replay", "lifecycle diagram", "image check"):
        assert f"\n### baqup-agent {command}\n" in text


def test_each_public_name_is_explained() -> None:
    """A name whose docstring is missing would leave a gap."""
    lines = reference().splitlines()

    gaps = [
        line for line, after in zip(lines, lines[2:], strict=False)
        if line.startswith("#### ") and after.startswith("#")
    ]  # fmt: skip
    assert gaps == []
