"""The last net before anything leaves the process: secrets out of texts (Contract §7)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from baqup_agent.security.secret import REDACTED, Secret

#: Credentials inside a URL, whoever wrote it.
_URL_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)

#: An absolute path of at least one component.
_PATH = re.compile(r"(?<![\w:/.])/[^\s'\":,;()\[\]{}]+")

#: Members of a message whose values are the contract's own words or identities, never free text.
_IDENTITIES = frozenset(
    {
        "type", "job_id", "agent_id", "timestamp", "seq", "state", "substate", "status", "role",
        "agent", "agent_version", "severity", "code", "category", "algorithm",
        "started_at", "completed_at", "first_occurrence", "last_occurrence", "last_progress_at",
    }
)  # fmt: skip


class Redactor:
    """Replaces every known secret in text by ``[REDACTED]``, in all forms it may take.

    Args:
        secrets: the secrets known so far; more can be added.
        sanitize: ``none`` stops at secrets, ``moderate`` adds credentials in URLs, ``strict``
            adds absolute paths (Contract §6).
    """

    def __init__(self, secrets: Iterable[Secret] = (), sanitize: str = "moderate") -> None:
        self.sanitize = sanitize
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        """Make a secret known."""
        self._forms |= _forms(secret.reveal())
        # Longest first, so that a secret inside another does not leave a rest behind.
        ordered = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return ``text`` without the known secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        if self.sanitize != "none":
            text = _URL_CREDENTIALS.sub(rf"\g<scheme>{REDACTED}@", text)
        if self.sanitize == "strict":
            text = _PATH.sub("[PATH]", text)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON-like value with every text in it cleaned; anything else as its text."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(member) for name, member in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(member) for member in value]
        return self.text(str(value))

    def message(self, wire: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message for the bus with its free texts cleaned, its identities untouched."""
        return {
            name: member if name in _IDENTITIES else self._member(member)
            for name, member in wire.items()
        }

    def _member(self, member: Any) -> Any:
        if isinstance(member, Mapping):
            return self.message(member)
        if isinstance(member, list | tuple):
            return [self._member(item) for item in member]
        return self.value(member)


def _forms(value: str) -> set[str]:
    """The texts in which a secret may turn up."""
    raw = value.encode("utf-8", "surrogateescape")
    forms = {
        value,
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    return {form for form in forms if form}
