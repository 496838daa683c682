"""The last net before anything leaves the process: secrets out of texts (Contract §7)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from baqup_agent.observability.forms import FORM_MIN, forms_of, passwords_in
from baqup_agent.observability.needles import Needles, spans, united
from baqup_agent.observability.patterns import (
    BOUNDARY,
    names_credential,
    without_credentials,
    without_paths,
)
from baqup_agent.security.secret import REDACTED, Secret

#: Members of a message that identify it or are the contract's own words, never free text.
_FIXED = frozenset(
    {
        "type", "job_id", "agent_id", "timestamp", "seq", "state", "status", "role", "severity",
        "category", "algorithm", "started_at", "completed_at", "first_occurrence",
        "last_occurrence", "last_progress_at",
    }
)  # fmt: skip

#: Members that name what exists elsewhere under the same name. Changed, they would point nowhere,
#: so they are kept unless a secret in them cannot be chance (see `Redactor.betrays`).
_NAMES = frozenset(
    {"agent", "agent_version", "substate", "code", "caused_by", "path", "filename", "artifact"}
)

#: Members whose content is the author's alone.
_FREE = frozenset({"source_metadata", "context"})

#: How deep a value may be nested before the rest is left out.
_DEPTH_MAX = 32


@frozen
class _Known:
    """All that is to be found; replaced as a whole, so that readers need no lock.

    Attributes:
        forms: searched for anywhere.
        telling: those of them that cannot be chance.
        short: searched for as whole words.
    """

    forms: frozenset[str] = frozenset()
    telling: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()

    @cached_property
    def needles(self) -> Needles:
        """The forms, made ready when they are first needed, after the last one was added."""
        return Needles(self.forms)

    @cached_property
    def words(self) -> re.Pattern[str] | None:
        words = [re.escape(word) for word in sorted(self.short) if any(map(str.isalnum, word))]
        return re.compile(rf"{BOUNDARY}(?:{'|'.join(words)})(?!\w)") if words else None


class Redactor:
    """Replaces every known secret in text by ``[REDACTED]``, in all forms it may take.

    Where secrets overlap in a text, all of them go: no rest of one is left by another. A secret of
    fewer than four characters would tear every text to pieces; it is found as a whole word only,
    and not at all if it has no letter or digit.

    Args:
        secrets: the secrets known so far; more can be added.
        sanitize: ``none`` stops at secrets, ``moderate`` adds credentials by their form (see
            `baqup_agent.observability.patterns`), ``strict`` adds absolute paths (Contract §6).
    """

    def __init__(self, secrets: Iterable[Secret] = (), sanitize: str = "moderate") -> None:
        self.sanitize = sanitize
        self._known = _Known()
        for secret in secrets:
            self.add(secret)

    @property
    def forms(self) -> frozenset[str]:
        """Every text that is searched for anywhere; secrets, so not to be shown."""
        return self._known.forms

    def add(self, secret: Secret) -> bool:
        """Make a secret known.

        Returns:
            Whether it is found wherever it stands; False for one too short for that.
        """
        value = secret.reveal()
        texts = {value, value.strip(), *passwords_in(value)}
        forms = frozenset(form for form in forms_of(value) if form not in REDACTED)
        telling = forms if any(map(_is_telling, texts)) else frozenset[str]()
        short = {text for text in texts if 0 < len(text) < FORM_MIN}
        known = self._known
        self._known = _Known(known.forms | forms, known.telling | telling, known.short | short)
        return not short

    def add_url(self, secret: Secret) -> bool:
        """Make known what is secret of a URL: its passwords, and the whole if it has any.

        Host, port, database and user stay visible, and so does a URL without a password. What is
        no URL at all is a secret as a whole: it may be a password in the wrong place.

        Returns:
            Whether all of it is found wherever it stands, as `add` does.
        """
        value = secret.reveal()
        is_plain = "://" in value and not any(passwords_in(value))
        return is_plain or self.add(secret)

    def contains(self, text: str) -> bool:
        """Whether `text` would change this text; also right for a text encoded as JSON.

        Encoded, that is, it is true whenever one of the texts in it would change.
        """
        known = self._known
        if known.needles.within(text) or (known.words is not None and known.words.search(text)):
            return True
        return self._sanitized(text) != text

    def betrays(self, name: str) -> bool:
        """Whether a name holds a secret that cannot be there by chance.

        A database called ``shop`` that belongs to the user ``shop`` is chance. A secret is too
        telling for that if it has eight characters of three kinds (small and capital letters,
        digits, marks other than ``-``, ``_`` and ``.``) or sixteen of two kinds.
        """
        return not self._known.telling.isdisjoint(self._known.needles.within(name))

    def text(self, text: str) -> str:
        """Return ``text`` without the known secrets."""
        known = self._known
        found = known.needles.within(text)
        if found or known.words is not None:
            text = _blanked(text, found, known.words)
        return self._sanitized(text)

    def value(self, value: Any) -> Any:
        """Return a JSON-like value with every text in it cleaned; anything else as its text."""
        return self._value(value, 0)

    def message(self, wire: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message for the bus with its free texts cleaned, its identities untouched.

        Numbers are the SDK's own figures there and stay; in ``source_metadata`` they are cleaned.
        """
        return {name: self._member(name, member) for name, member in wire.items()}

    def _member(self, name: str, member: Any) -> Any:
        if name in _FREE:
            return self.value(member)
        if isinstance(member, Mapping):
            return self.message(member)
        if isinstance(member, list | tuple):
            return [self._member(name, item) for item in member]
        if name in _FIXED or member is None or isinstance(member, int | float):
            return member
        text = _text_of(member)
        return text if name in _NAMES and not self.betrays(text) else self.text(text)

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, int | float):
            return self._number(value)
        if depth >= _DEPTH_MAX:
            return "…"
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(member, depth + 1) for member in value]
        return self.text(_text_of(value))

    def _number(self, number: float | None) -> float | str | None:
        if number is None or isinstance(number, bool):
            return number
        if isinstance(number, float) and not math.isfinite(number):
            return str(number)  # JSON has no word for it
        return REDACTED if self._known.needles.within(str(number)) else number

    def _mapping(self, mapping: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        cleaned: dict[str, Any] = {}
        for name, member in mapping.items():
            key = self.text(_text_of(name))
            while key in cleaned:  # two names that differed in their secrets
                key += "'"
            credential = self.sanitize != "none" and names_credential(key)
            hidden = credential and bool(member) and isinstance(member, str | bytes)
            cleaned[key] = REDACTED if hidden else self._value(member, depth)
        return cleaned

    def _sanitized(self, text: str) -> str:
        if self.sanitize == "none":
            return text
        text = without_credentials(text)
        return without_paths(text) if self.sanitize == "strict" else text


def _blanked(text: str, needles: Iterable[str], words: re.Pattern[str] | None) -> str:
    found = spans(text, needles)
    if words is not None:
        found = united(sorted([*found, *(match.span() for match in words.finditer(text))]))
    pieces: list[str] = []
    done = 0
    for begin, end in found:
        pieces += (text[done:begin], REDACTED)
        done = end
    return "".join((*pieces, text[done:]))


def _is_telling(value: str) -> bool:
    kinds = [
        any(map(str.islower, value)),
        any(map(str.isupper, value)),
        any(map(str.isdigit, value)),
        any(not letter.isalnum() and letter not in "-_." for letter in value),
    ]
    enough = {1: math.inf, 2: 16, 3: 8, 4: 8}
    return len(value) >= enough.get(sum(kinds), math.inf)


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  an author's object; a log line is no place to fail
        return f"<{type(value).__name__} without a text>"
