"""The value of ``BAQUP_BUS_URL``, taken apart and checked (Contract §2, §3).

Nothing of a URL that cannot be understood is repeated in an error: a password may stand anywhere
in it. redis-py ignores much of what is wrong in a URL, and lets its query override the settings
that keep a dead bus from holding up the publisher; hence the checks here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_to_bytes, urlsplit

from attrs import frozen

from baqup_agent.errors import BusRefused
from baqup_agent.security.secret import Secret

#: The forms that a URL may have, as errors show them.
FORMS = (
    "redis://[user:password@]host[:port][/database], the same with rediss:// for TLS, "
    "unix:///path/to/socket[?db=0], or file:///absolute/directory"
)

#: Parameters of the query that redis-py may be given, by scheme.
_TLS = {
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_keyfile_password",
    "ssl_password",
}
_PARAMETERS = {
    "redis": {"db", "client_name"},
    "rediss": {"db", "client_name"} | _TLS,
    "unix": {"db", "client_name"},
}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_PORT_MAX = 65535


@frozen
class RedisUrl:
    """A Redis server.

    Attributes:
        secret: the URL as redis-py takes it.
        display: the same without credentials and query.
    """

    secret: Secret
    display: str


@frozen
class FileUrl:
    """A directory into which messages are written as JSON Lines.

    Attributes:
        directory: an absolute path.
    """

    directory: Path

    @property
    def display(self) -> str:
        """The URL, for logs."""
        return f"file://{self.directory}"


def parse_bus_url(url: str | Secret) -> RedisUrl | FileUrl:
    """Take the URL of a bus apart.

    Raises:
        BusRefused: it is malformed; the message tells what is wrong and never repeats a password.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    _check_characters(text)
    parts = _split(text)
    if parts.scheme == "file":
        return FileUrl(_directory(parts))
    if parts.scheme not in _PARAMETERS:
        _refuse("its scheme is not one of redis, rediss, unix and file")
    if parts.fragment or "#" in text:
        _refuse("it contains '#', which a password must write as %23")
    _check_query(parts)
    return RedisUrl(Secret(text), _redis_display(parts))


def _refuse(reason: str) -> NoReturn:
    # `from None`: what urllib says about a URL repeats parts of it.
    raise BusRefused(
        f"BAQUP_BUS_URL cannot be used: {reason}; valid is {FORMS}",
        suggestions=["percent-encode special characters of a password, for instance @ as %40"],
    ) from None


def _check_characters(text: str) -> None:
    if not text:
        _refuse("it is empty")
    if any(character.isspace() or not character.isprintable() for character in text):
        _refuse("it contains white space or control characters")
    if "://" not in text:
        _refuse("it has no scheme such as redis://")


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        _refuse("its host is malformed")


def _directory(parts: SplitResult) -> Path:
    if parts.netloc not in {"", "localhost"}:
        _refuse("file:// is followed by a host or a relative path, so a slash may be missing")
    if parts.query or parts.fragment:
        _refuse("a path must write '?' as %3F and '#' as %23")
    raw = unquote_to_bytes(parts.path)
    if not raw.startswith(b"/") or b"\0" in raw:
        _refuse("file:// needs an absolute directory without NUL")
    return Path(os.fsdecode(raw))


def _redis_display(parts: SplitResult) -> str:
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            _refuse("unix:// needs the absolute path of a socket")
        return f"unix://{parts.path}"
    host = _host(parts)
    return f"{parts.scheme}://{host}:{_port(parts)}/{_database(parts)}"


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        _refuse("it names no host")
    return f"[{host}]" if ":" in host else unquote(host)


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        _refuse(f"its port is not a number from 1 to {_PORT_MAX}")
    return 6379 if port is None else port


def _database(parts: SplitResult) -> int:
    number = parts.path.removeprefix("/")
    if number and not _is_number(number):
        _refuse("the part after the host is not the number of a database")
    return int(number or "0")


def _check_query(parts: SplitResult) -> None:
    allowed = _PARAMETERS[parts.scheme]
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in allowed:
            _refuse(f"its query may hold only {', '.join(sorted(allowed))}")
        if name == "db" and not _is_number(value):
            _refuse("the parameter db is not the number of a database")
        if name in _FILES and not Path(value).is_file():
            _refuse(f"the parameter {name} does not name a readable file")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
