"""The rules about how long a stay may last and what a signal means in it (Contract §1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from threading import TIMEOUT_MAX
from typing import TypeGuard

from baqup_agent.lifecycle.declaration import CONTRACT, Deadline, State
from baqup_agent.lifecycle.proof.rules import Finding, found, quoted
from baqup_agent.lifecycle.proof.shape import FINAL, PHASES, Shape, phase_of

#: ``BAQUP_JOB_TIMEOUT`` where nobody sets it, seconds (Contract §2).
JOB_TIMEOUT_S = 3600

_CONTRACT = {state.name: state for state in CONTRACT.states}


def limits_hold(shape: Shape) -> Iterator[Finding]:
    """Find limits that are none, that contradict one another, and unsaid signal policies."""
    for state in chain(shape.compounds.values(), shape.leaves.values()):
        if phase_of(state.name) in PHASES - FINAL:
            yield from _values(shape, state)
            yield from _deadline(shape, state)
            yield from _expected(shape, state)
    for leaf in shape.live:
        yield from _policy(shape, leaf)


def _values(shape: Shape, state: State) -> Iterator[Finding]:
    figures = (
        ("deadline-value", "limit", _seconds(state)),
        ("expected-value", "expected duration", state.expected_duration_s),
    )
    for rule, what, seconds in figures:
        if seconds is not None and not _measurable(seconds):
            yield found(
                rule,
                state.name,
                f"the {what} of {quoted(state.name)} is {quoted(seconds)} s",
                "give a positive number of seconds, or leave it out",
                shape.way(state.name),
            )


def _deadline(shape: Shape, state: State) -> Iterator[Finding]:
    if state.name in PHASES:
        if not _keeps(state.deadline, _CONTRACT[state.name].deadline):
            yield _loose_phase(shape, state)
        return
    kept = state.deadline.seconds if state.deadline else None
    if state.timeout_s is not kept and state.timeout_s != kept:
        yield found(
            "deadline-lost",
            state.name,
            f"{quoted(state.name)} has timeout_s={state.timeout_s!r}, and a deadline of {kept} s "
            "is kept",
            "build the lifecycle with refine(), which makes the one of the other",
            shape.way(state.name),
        )
    else:
        yield from _excess(shape, state)


def _keeps(own: Deadline | None, contract: Deadline | None) -> bool:
    """Whether a phase's deadline is the contract's, or the same one tightened."""
    if own is None or contract is None:
        return own is contract
    if (own.error_code, own.exit_code) != (contract.error_code, contract.exit_code):
        return False
    if own.seconds is None or contract.seconds is None:
        return own.variable == contract.variable
    return not _measurable(own.seconds) or own.seconds <= contract.seconds


def _loose_phase(shape: Shape, state: State) -> Finding:
    contract = _CONTRACT[state.name].deadline
    return found(
        "phase-deadline",
        state.name,
        f"the limit of {state.name!r} is {_told(state.deadline)}, and by the contract "
        f"{_told(contract)}",
        "leave the phase as CONTRACT has it, and limit its leaves by timeout_s",
        shape.way(state.name),
    )


def _told(deadline: Deadline | None) -> str:
    if deadline is None:
        return "none"
    return f"{deadline} (then {deadline.error_code}, exit {int(deadline.exit_code)})"


def _excess(shape: Shape, state: State) -> Iterator[Finding]:
    """The tightest limit around a state that its own one exceeds."""
    own = _seconds(state)
    if own is None or not _measurable(own):
        return
    scopes = [scope for scope in shape.around(state.name) if scope.name != state.name]
    fixed = [(limit, scope.name) for scope in scopes if _measurable(limit := _seconds(scope))]
    if fixed and own > min(fixed)[0]:
        limit, scope = min(fixed)
        yield found(
            "deadline-exceeds",
            state.name,
            f"the limit of {quoted(state.name)}, {own:g} s, is longer than the {limit:g} s of "
            f"{quoted(scope)}, in which it lies",
            f"give it {limit:g} s or less",
            shape.way(state.name),
        )
    elif not fixed and own > JOB_TIMEOUT_S:
        yield found(
            "deadline-exceeds-default",
            state.name,
            f"the limit of {quoted(state.name)}, {own:g} s, is longer than the {JOB_TIMEOUT_S} s "
            "that BAQUP_JOB_TIMEOUT gives a job by default",
            "shorten it, or say that BAQUP_JOB_TIMEOUT must be raised",
            shape.way(state.name),
        )


def _expected(shape: Shape, state: State) -> Iterator[Finding]:
    expected = state.expected_duration_s
    if not _measurable(expected):
        return
    around = [(limit, scope.name) for scope in shape.around(state.name)
              if _measurable(limit := _seconds(scope))]  # fmt: skip
    if around and expected > min(around)[0]:
        limit, scope = min(around)
        yield found(
            "expected-exceeds",
            state.name,
            f"{quoted(state.name)} is expected to last {expected:g} s, and {quoted(scope)} ends "
            f"after {limit:g} s",
            "expect less, or raise the limit",
            shape.way(state.name),
        )


def _policy(shape: Shape, leaf: str) -> Iterator[Finding]:
    if phase_of(leaf) in PHASES and shape.policy(leaf) is None:
        yield found(
            "signal-policy",
            leaf,
            f"nothing says what SIGTERM means in {quoted(leaf)}",
            "set on_signal to 'abort', 'finish' or 'ignore', on it or on a state around it",
            shape.way(leaf),
        )


def _seconds(state: State) -> float | None:
    """A state's own fixed limit."""
    return state.deadline.seconds if state.deadline else state.timeout_s


def _measurable(seconds: float | None) -> TypeGuard[float]:
    """Whether a figure is one that can be waited for; authors write others, unchecked."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return False
    return 0 < seconds <= TIMEOUT_MAX
