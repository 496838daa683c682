r"""What is sensitive by its form, whoever wrote it: ``BAQUP_AGENT_LOG_SANITIZE`` (Contract §6).

``moderate`` knows credentials in URLs, ``password=…``, ``"password": …``, ``--password …`` and
their like, cookies, bearer tokens and private keys; ``strict`` also takes every absolute path out.
What can be searched for quickly decides whether a pattern is tried at all. All of them find in
encoded JSON what they find in the text itself.
"""

from __future__ import annotations

import re

from baqup_agent.security.secret import REDACTED

#: Names whose value is a credential; compared in lower case, with ``_`` for ``-``.
_CREDENTIALS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "apikey",
    "access_key", "secret_key", "private_key", "authorization", "credentials", "cookie",
    "set_cookie", "x_api_key",
)  # fmt: skip

#: What may stand before a word or path: nothing of a word, unless it is the end of an escape.
BOUNDARY = r"(?:(?<!\w)|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))"

_USER_INFO = re.compile(r"://[^\s/@]+@")

#: What the name of a credential ends in, in small letters.
_NAME = (
    r"(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]key|secret[_-]key"
    r"|private[_-]key|authorization|credentials)"
)

#: Words behind such a name that tell of a value, but are none.
_NOT_PLAIN = (
    r"(?!(?:none|null|nil|true|false|empty|missing|unset|required|must|is|are|was|or|and|to|not)"
    r"(?![^\s,;.\"'\\)}\]]))"
)

#: A value in quotation marks, however often these were escaped; the last mark may be cut off.
_QUOTED = r"(?P<mark>\\*[\"'])(?P<inner>(?s:.{0,4096}?)(?=(?<!\\)(?P=mark))|[^\n]*)"

#: A value without marks. Brackets around the whole are no part of it.
_BARE = r"(?:\[redacted\]|[^\s&;,\"'{(\[])(?:[^\s&;,\"']*[^\s&;,\"')}\]])?"

#: These are matched against the text in small letters.
_NAMED = re.compile(
    rf"{_NAME}\\*[\"']?[ ]?(?:(?P<equal>=)[ ]?|:[ ]*(?:(?:basic|bearer|digest)[ ]+)?)"
    rf"(?:{_QUOTED}|{_NOT_PLAIN}(?P<value>(?(equal)[^\s&;,\"']+|{_BARE})))"
)
_OPTION = re.compile(
    rf"--[\w-]{{0,40}}{_NAME}(?:[ ]+|\\*[\"'],[ ]?(?=\\*[\"']))"
    rf"(?:{_QUOTED}|{_NOT_PLAIN}(?P<value>[^\s\"'-][^\s\"']*))"
)
_COOKIE = re.compile(
    rf"cookie\\*[\"']?[ ]?:[ ]*(?:{_QUOTED}"
    r"|(?P<value>[^\s;=,\"'\\]+=[^\s;,\"'\\]*(?:;[ ]?[^\s;=,\"'\\]+=[^\s;,\"'\\]*)*))"
)

_BEARER = re.compile(r"(?<=earer )[\w.~+/=-]{8,}")

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)

#: An absolute path of at least one component; blanks are part of one between quotation marks.
_PATH = re.compile(
    r"(?<=')/[^'\n]*[^'\n\\](?=\\*')|(?<=\")/[^\"\n]*[^\"\n\\](?=\\*\")"
    rf"|(?:(?i:(?<=file://)|(?<=unix://))|(?<![:/.]){BOUNDARY})/[^\s'\":,;()\[\]{{}}]+"
)


def without_credentials(text: str) -> str:
    """Return ``text`` without what looks like a credential."""
    if "@" in text:
        text = _USER_INFO.sub(f"://{REDACTED}@", text)
    if ":" in text or "=" in text or "-" in text:
        text = _without_named(text)
    if "earer " in text:
        text = _BEARER.sub(REDACTED, text)
    if "G" in text and "-----BEGIN" in text:  # one letter is found ten times as fast
        text = _PRIVATE_KEY.sub(REDACTED, text)
    return text


def _without_named(text: str) -> str:
    small = text.lower()
    if "k" in small and "cookie" in small:
        text = _hidden(_COOKIE, text)
    if _may_name(text, small):
        text = _hidden(_NAMED, text)
        if "--" in text:
            text = _hidden(_OPTION, text)
    return text


def _may_name(text: str, small: str) -> bool:
    """Whether a name can be in it; single letters come first, being found ten times as fast."""
    return (
        ("w" in small and ("passw" in small or "pwd" in small))
        or ("k" in small and ("token" in small or ("key" in small and _has_key(small))))
        or (("z" in text or ("Z" in text and "U" in text)) and "authorization" in small)
        or "secret" in small
        or "credentials" in small
        or "passphrase" in small
    )


def _has_key(small: str) -> bool:
    return "_key" in small or "-key" in small or "apikey" in small


def _hidden(pattern: re.Pattern[str], text: str) -> str:
    """Take out the values that ``pattern`` finds in the text in small letters."""
    pieces: list[str] = []
    done = 0
    for match in pattern.finditer(_small(text)):
        name = "value" if match["mark"] is None else "inner"
        begin, end = match.span(name)
        if begin == end:
            continue
        if match.groupdict().get("equal") and name == "inner":  # the marks go as well
            begin, end = match.start("mark"), min(end + len(match["mark"]), len(text))
        pieces += (text[done:begin], REDACTED)
        done = end
    return "".join((*pieces, text[done:]))


def _small(text: str) -> str:
    """The text in small letters, each of them where the great one stood."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def without_paths(text: str) -> str:
    """Return ``text`` with every absolute path replaced by ``[PATH]``."""
    return _PATH.sub("[PATH]", text) if "/" in text else text


def names_credential(name: str) -> bool:
    """Whether a value under this name is a credential."""
    return name.lower().replace("-", "_") in _CREDENTIALS


def ends_as_credential(name: str) -> bool:
    """Whether a parameter of a URL is a credential, as ``ssl_password`` is."""
    return name.lower().replace("-", "_").endswith(_CREDENTIALS)
