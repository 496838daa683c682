r"""What is sensitive by its form, whoever wrote it: ``BAQUP_AGENT_LOG_SANITIZE`` (Contract §6).

``moderate`` knows credentials in URLs, ``password=…`` and its like, bearer tokens and private keys;
``strict`` also takes every absolute path out. Each pattern begins with a rare character that can be
searched for quickly. All of them find in encoded JSON what they find in the text itself.
"""

from __future__ import annotations

import re

from baqup_agent.security.secret import REDACTED

#: Names whose value is a credential; compared in lower case, with ``_`` for ``-``.
_CREDENTIALS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "apikey",
    "access_key", "secret_key", "private_key", "authorization", "credentials",
)  # fmt: skip

#: What may stand before a word or path: nothing of a word, unless it is the end of an escape.
BOUNDARY = r"(?:(?<!\w)|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))"

_USER_INFO = re.compile(r"://[^\s/@]+@")

_BEHIND_NAME = "|".join(
    f"(?<={name.replace('_', '[_-]')}=)" for name in sorted(_CREDENTIALS, key=len)
)
_ASSIGNMENT = re.compile(rf"=(?i:{_BEHIND_NAME})(?:\"[^\"]*\"|'[^']*'|[^\s&;,\"']+)")

_BEARER = re.compile(r"(?<=earer )[\w.~+/=-]{8,}")

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)

#: An absolute path of at least one component.
_PATH = re.compile(rf"(?<![:/.]){BOUNDARY}/[^\s'\":,;()\[\]{{}}]+")


def without_credentials(text: str) -> str:
    """Return ``text`` without what looks like a credential."""
    if "@" in text:
        text = _USER_INFO.sub(f"://{REDACTED}@", text)
    if "=" in text:
        text = _ASSIGNMENT.sub(f"={REDACTED}", text)
    if "earer " in text:
        text = _BEARER.sub(REDACTED, text)
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(REDACTED, text)
    return text


def without_paths(text: str) -> str:
    """Return ``text`` with every absolute path replaced by ``[PATH]``."""
    return _PATH.sub("[PATH]", text) if "/" in text else text


def names_credential(name: str) -> bool:
    """Whether a value under this name is a credential."""
    return name.lower().replace("-", "_") in _CREDENTIALS
