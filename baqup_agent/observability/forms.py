r"""The texts in which a secret may turn up once it has been quoted, escaped or encoded.

For a secret these are, as far as they differ: itself; itself without blanks around it, and with
single ones inside; its composed and decomposed Unicode forms; what a reader with the wrong decoding
makes of its bytes; each longer line of it, because output is looked at line by line; and the
passwords inside a URL.
Each of them plain, URL-quoted, escaped for JSON, for HTML and as a Python literal; and the whole
in base64, at any of its three alignments and in both alphabets, and in hexadecimal digits. Since
messages are searched as encoded JSON too, each form is there a second time as JSON escapes it.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from baqup_agent.observability.patterns import ends_as_credential

#: Least characters of a text that is searched for anywhere; shorter ones occur by chance.
FORM_MIN = 4

#: Least characters of one line of a longer secret that is searched for by itself.
LINE_MIN = 8

#: What different encoders leave unquoted in a URL: Python's component and path, and ECMAScript's
#: ``encodeURIComponent`` and ``encodeURI``.
_SAFE = ("", "/", "!~*'()", "!~*'();,/?:@&=+$#")

_PERCENT = re.compile("%[0-9A-F]{2}")
_UNICODE_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")


def forms_of(value: str) -> frozenset[str]:
    """Return every text in which ``value`` is searched for; those below `FORM_MIN` are left out."""
    whole = set(_spellings(value))
    forms = {written for text in whole | set(_parts(value)) for written in _written(text)}
    forms |= {encoded for text in whole for encoded in _encoded(bytes_of(text))}
    forms |= {escaped for form in forms for escaped in _json(form)}
    return frozenset(form for form in forms if len(form) >= FORM_MIN)


def bytes_of(text: str) -> bytes:
    """Return the bytes that a text of the environment stood for."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "surrogatepass")


def passwords_in(value: str) -> Iterator[str]:
    """Yield the passwords in a URL, each as it stands there and as it is meant.

    These are the one before the hosts and those of the query. Of a URL whose password is not
    quoted as it has to be, all that may be the password is yielded.
    """
    _, there, rest = value.partition("://")
    if not there:
        return
    for password in (_before_hosts(value, rest), *_in_query(rest)):
        if password:
            yield password
            yield unquote(password, errors="surrogateescape")
            yield unquote_plus(password, errors="surrogateescape")


def _before_hosts(value: str, rest: str) -> str | None:
    try:
        split = urlsplit(value)
        if "@" in split.netloc and "@" not in split.path + split.fragment:
            return split.password
    except ValueError:
        pass
    return rest.rpartition("@")[0].partition(":")[2]


def _in_query(rest: str) -> Iterator[str]:
    for parameter in re.split("[?&;]", rest)[1:]:
        name, _, password = parameter.partition("=")
        if ends_as_credential(unquote(name)):
            yield password


def _spellings(value: str) -> Iterator[str]:
    one_line = " ".join(value.split())  # as the messages of errors are made
    for text in (value, value.strip(), one_line, *passwords_in(value)):
        yield text
        if text.isascii():
            continue
        yield unicodedata.normalize("NFC", text)
        yield unicodedata.normalize("NFD", text)
        raw = bytes_of(text)
        yield raw.decode("latin-1")
        yield raw.decode("utf-8", "replace")
        yield raw.decode("utf-8", "backslashreplace")


def _parts(value: str) -> Iterator[str]:
    for line in value.splitlines():
        if len(line.strip()) >= LINE_MIN:
            yield line.strip()


def _written(text: str) -> Iterator[str]:
    import html  # its table of entities takes a while

    raw = bytes_of(text)
    yield text
    yield html.escape(text)
    yield from (repr(text)[1:-1], ascii(text)[1:-1], repr(raw)[2:-1])
    for escaped in _json(text):
        yield escaped
        yield escaped.replace("/", r"\/")  # as PHP does
        yield _UNICODE_ESCAPE.sub(lambda match: r"\u" + match[0][2:].upper(), escaped)
    for quoted in (quote_plus(raw), *(quote(raw, safe=safe) for safe in _SAFE)):
        yield quoted
        yield _PERCENT.sub(lambda match: match[0].lower(), quoted)


def _json(text: str) -> tuple[str, ...]:
    if text.isascii() and text.isalnum():
        return (text,)
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _encoded(raw: bytes) -> Iterator[str]:
    if len(raw) < FORM_MIN:
        return
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield from (whole, whole.rstrip("="))
        for before in range(3):
            yield _core(encode, raw, before)


def _core(encode: Callable[[bytes], bytes], raw: bytes, before: int) -> str:
    """The characters of base64 that depend on ``raw`` alone, ``before`` bytes into a group."""
    text = encode(bytes(before) + raw).decode().rstrip("=")
    shared = (len(raw) + before) % 3 != 0  # the last character also holds bits of what follows
    return text[(0, 2, 3)[before] : len(text) - shared]
