"""The words that every picture of a lifecycle uses, so that all formats say the same."""

from __future__ import annotations

from collections.abc import Iterable

from baqup_agent.lifecycle.declaration import Guard, State, Transition

#: Stands before a number of times.
TIMES = "\u00d7"

_MINUTE_S = 60
_HOUR_MIN = 60


def printable(text: str) -> str:
    """Return foreign text on one line, with control characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def short_name(state: State) -> str:
    """The last part of a state's name, which is enough inside the box of the rest."""
    return state.name.rpartition(".")[2]


def guard_name(guard: Guard | None) -> str:
    """``[name]`` of a guard's function, ``[guarded]`` where it has none, or nothing."""
    if guard is None:
        return ""
    partial = getattr(guard, "func", None)
    # A guard of a stored lifecycle is named by a reference to its function.
    stored = str(getattr(guard, "reference", "")).replace(":", ".").rpartition(".")[2]
    name = getattr(guard, "__name__", "") or getattr(partial, "__name__", "") or stored
    return f"[{name}]" if name.isidentifier() else "[guarded]"


def trigger_text(edge: Transition) -> str:
    """The trigger and, where there is one, its guard: ``again [more_tables]``."""
    return f"{edge.trigger} {guard_name(edge.guard)}".rstrip()


def deadline_lines(state: State) -> tuple[str, ...]:
    """How long a stay may last, and what an expired deadline leads to; empty without one."""
    deadline = state.deadline
    if deadline is None:
        return () if state.timeout_s is None else (f"at most {state.timeout_s:g} s",)
    return (
        f"at most {deadline}",
        f"else {printable(deadline.error_code)}, exit {int(deadline.exit_code)}",
    )


def policy_text(state: State) -> str:
    """What a request to stop means in it; empty for a final state, or where it is inherited."""
    if state.on_signal is None or state.final:
        return ""
    return f"on a stop signal: {state.on_signal}"


def expected_text(state: State) -> str:
    """How long a stay should take; empty where nothing was said."""
    if state.expected_duration_s is None:
        return ""
    return f"expected: {state.expected_duration_s:g} s"


def facts(state: State) -> tuple[str, ...]:
    """All that is said of a state besides its name, one fact a line."""
    limit = ", ".join(deadline_lines(state))
    return _filled([printable(state.description), limit, policy_text(state), expected_text(state)])


def _filled(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(line for line in lines if line)


def duration_text(seconds: float) -> str:
    """Write a duration: ``35 ms``, ``3.2 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if round(seconds * 1000) < 1000:  # noqa: PLR2004  milliseconds of a second
        return f"{seconds * 1000:.0f} ms"
    if round(seconds, 1) < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    if minutes < _HOUR_MIN:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, _HOUR_MIN)
    return f"{hours} h {minutes:02} min"
