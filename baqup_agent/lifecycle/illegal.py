"""The answers to a trigger that has no place in the current state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches


class IllegalTransition(Exception):
    """A trigger was fired that the current state does not accept; nothing has changed.

    Args:
        state: the state in which it was fired.
        trigger: its name.
        legal: the triggers accepted there, in declaration order.
        known: every trigger of the lifecycle, for the hint on a misspelt one.
    """

    def __init__(
        self, state: str, trigger: str, legal: Sequence[str], known: Collection[str] = ()
    ) -> None:
        self.state = state
        self.trigger = trigger
        self.legal = tuple(legal)
        self.did_you_mean = self._closest(trigger, known)
        super().__init__(self._message())

    @staticmethod
    def _closest(trigger: str, known: Collection[str]) -> str | None:
        if trigger in known:
            return None
        return next(iter(get_close_matches(trigger, known, n=1)), None)

    def _message(self) -> str:
        offer = ", ".join(map(repr, self.legal)) if self.legal else "nothing, the state is final"
        text = f"no transition for {self.trigger!r} in state {self.state!r}; legal here: {offer}"
        return f"{text}; did you mean {self.did_you_mean!r}?" if self.did_you_mean else text


class RefusedTransition(IllegalTransition):
    """A trigger was fired whose guards all said no; nothing has changed."""

    def _message(self) -> str:
        return f"every guard of {self.trigger!r} in state {self.state!r} refused the transition"
