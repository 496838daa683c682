"""How outcomes and seconds are said in the HTML report: sign, word, name of a class."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from baqup_agent.conformance.report import Outcome, Report, Result


@frozen
class Face:
    """How an outcome looks.

    Attributes:
        key: names it in classes and addresses.
        sign: one character, so that colour is never alone.
        word: for a label.
        tells: what it means, one sentence.
    """

    key: str
    sign: str
    word: str
    tells: str


_FACES = {
    Outcome.PASS: Face("pass", "✓", "passed", "The rule was seen to hold."),
    Outcome.FAIL: Face("fail", "✗", "failed", "The rule was seen broken."),
    Outcome.ERROR: Face("error", "!", "error", "The suite could not judge; not the agent's fault."),
    Outcome.BYPASSED: Face("bypassed", "↷", "bypassed", "Left out, with a reason."),
    Outcome.NOT_APPLICABLE: Face(
        "na", "\N{EN DASH}", "not applicable", "Cannot be held against it here."
    ),
}

#: A broken SHOULD that does not count.
_WARNED = Face("warned", "△", "SHOULD broken", "Broken, and no obstacle without --strict.")

#: The worst first: a check that ran several times shows as its worst round.
FACES = (
    _FACES[Outcome.FAIL],
    _FACES[Outcome.ERROR],
    _WARNED,
    _FACES[Outcome.PASS],
    _FACES[Outcome.BYPASSED],
    _FACES[Outcome.NOT_APPLICABLE],
)


def face(report: Report, result: Result) -> Face:
    """Return how a result looks."""
    if result.outcome is Outcome.FAIL and not report.counts(result):
        return _WARNED
    return _FACES[result.outcome]


def worst(report: Report, rounds: Sequence[Result]) -> Result:
    """Return the round by which a check that ran several times is shown."""
    return min(rounds, key=lambda one: FACES.index(face(report, one)))


def seconds(value_s: float) -> str:
    """Return a duration for a person: ``12 ms``, ``3.4 s``, ``2 min 5 s``."""
    if value_s < 1:
        return f"{value_s * 1000:.0f} ms"
    if value_s < 60:  # noqa: PLR2004  seconds of a minute
        return f"{value_s:.1f} s"
    return f"{value_s // 60:.0f} min {value_s % 60:.0f} s"
