"""Names in an environment that nothing declares, and what was probably meant by them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from baqup_agent.config.findings import Finding
from baqup_agent.config.variables import OPEN_PREFIXES, SECRET_PREFIX
from baqup_agent.config.wording import ascii_safe

#: Least likeness of two names that were meant to be one, from 0 to 1.
_ALIKE = 0.75
_ALIKE_WITHOUT_JOINTS = 0.92


def unknown_names(declared: Collection[str], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a finding for each name that looks like a variable of baqup and is not declared.

    Secrets are handed out under names of the controller's choice, so one that nothing declares is
    told of only if it resembles one that is declared and not set.
    """
    for name in sorted(environ):
        if name in declared or not name.upper().startswith("BAQUP_"):
            continue
        meant = nearest(name, [each for each in declared if each not in environ])
        if meant is not None or not name.startswith(SECRET_PREFIX):
            yield Finding((name,), "unknown", _sentence(name, meant or nearest(name, declared)))


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the one of ``known`` that was meant by a misspelt name, if there is one."""
    likeness = {each: _likeness(name.upper(), each) for each in known}
    best = max(likeness, key=likeness.__getitem__, default=None)
    return best if best is not None and likeness[best] > 0 else None


def _sentence(name: str, meant: str | None) -> str:
    handed_on = name.startswith((SECRET_PREFIX, *OPEN_PREFIXES))
    fate = "is handed on as it is" if handed_on else "has no effect"
    remedy = f"did you mean {meant}?" if meant else "unset it, or correct its name"
    return f"{ascii_safe(name)} is not declared by this agent and {fate}; {remedy}"


def _likeness(name: str, other: str) -> float:
    """How alike two names are; 0 where they are not alike enough.

    Names share long beginnings, so the group (``SOURCE``) and the rest are compared by themselves.
    """
    from difflib import SequenceMatcher  # only mistakes need it

    (group, rest), (other_group, other_rest) = _parts(name), _parts(other)
    if abs(len(name) - len(other)) > len(other) // 4:
        return 0.0
    parts = min(
        SequenceMatcher(None, group, other_group).ratio(),
        SequenceMatcher(None, rest, other_rest).ratio(),
    )
    whole = SequenceMatcher(None, name.replace("_", ""), other.replace("_", "")).ratio()
    if parts < _ALIKE and whole < _ALIKE_WITHOUT_JOINTS:
        return 0.0
    return max(parts, whole)


def _parts(name: str) -> tuple[str, str]:
    _, _, rest = name.partition("_")
    group, _, word = rest.partition("_")
    return group, word
