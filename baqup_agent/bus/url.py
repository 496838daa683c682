"""The value of ``BAQUP_BUS_URL``, taken apart and checked (Contract §2, §3).

Nothing of a URL that cannot be understood is repeated in an error: a password may stand anywhere
in it. redis-py ignores much of what is wrong in a URL, and lets its query override the settings
that keep a dead bus from holding up the publisher; hence the checks here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import (
    SplitResult,
    parse_qsl,
    quote,
    unquote,
    unquote_to_bytes,
    urlencode,
    urlsplit,
)

from attrs import frozen

from baqup_agent.errors import BusRefused
from baqup_agent.security.secret import Secret

#: The forms that a URL may have, as errors show them.
FORMS = (
    "redis://host[:port][/database], redis+sentinel://host[:port],…/master[/database], "
    "redis+cluster://host[:port],…, each with user:password@ before the hosts where needed and "
    "rediss for TLS, unix:///path/to/socket[?db=0], or file:///absolute/directory"
)

#: The variable that holds the password if the URL names none.
PASSWORD_VARIABLE = "BAQUP_SECRET_BUS_PASSWORD"  # noqa: S105  the variable's name

REDIS_PORT = 6379
SENTINEL_PORT = 26379

_TLS = {
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_password",
}
_SENTINELS_OWN = {"sentinel_password", "sentinel_username"}

#: Parameters of the query by what stands before ``://``, less the ``s`` of TLS.
_PARAMETERS = {
    "redis": {"client_name", "db"},
    "redis+sentinel": {"client_name", "db", "tls"} | _SENTINELS_OWN,
    "redis+cluster": {"client_name", "tls"},
    "unix": {"client_name", "db"},
}
#: What some parameters may be; the others are free.
_VALUES = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
    "tls": ("true", "false"),
}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_PORT_MAX = 65535
_MASTER = re.compile(r"[A-Za-z0-9._-]+")


class Address(NamedTuple):
    """A host (a name, or an IP address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@frozen
class RedisUrl:
    """A Redis server.

    Attributes:
        secret: a URL as redis-py takes it, with the password wherever it was given. Of a cluster
            or a master under sentinels it names the first host of the list, and carries what all
            servers have in common: user, password, database, TLS.
        display: the URL without credentials and query.
        tls: whether the servers speak TLS.
    """

    secret: Secret
    display: str
    tls: bool = False


@frozen
class SentinelUrl(RedisUrl):
    """A master that sentinels watch.

    Attributes:
        sentinels: where they are.
        master: what they call it.
        username: of the sentinels themselves, who know nothing of the master's users.
        password: likewise.
    """

    sentinels: tuple[Address, ...] = ()
    master: str = ""
    username: str | None = None
    password: Secret | None = None


@frozen
class ClusterUrl(RedisUrl):
    """A cluster.

    Attributes:
        nodes: some of its nodes; one that is up tells of all others.
    """

    nodes: tuple[Address, ...] = ()


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


class _Parts(NamedTuple):
    """A Redis URL in pieces; ``family`` is the scheme less the ``s`` of TLS."""

    family: str
    tls: bool
    userinfo: str
    hosts: str
    path: str
    query: dict[str, str]


def parse_bus_url(url: str | Secret, password: Secret | None = None) -> RedisUrl | FileUrl:
    """Take the URL of a bus apart.

    Args:
        url: the value of ``BAQUP_BUS_URL``.
        password: that of ``BAQUP_SECRET_BUS_PASSWORD``, for a URL that names none.

    Raises:
        BusRefused: it is malformed; the message tells what is wrong and never repeats a password.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    _check_characters(text)
    split = _split(text)
    if split.scheme == "file":
        return FileUrl(_directory(split))
    parts = _with_password(_parts(split, text), password)
    if parts.family == "redis+sentinel":
        return _sentinel_url(parts)
    if parts.family == "redis+cluster":
        return _cluster_url(parts)
    return _server_url(parts)


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
    scheme, _, rest = text.partition("://")
    end = min((rest.index(mark) for mark in "/?#" if mark in rest), default=len(rest))
    try:
        # urllib knows no lists of hosts; they are looked at one by one later.
        return urlsplit(f"{scheme}://{rest[end:]}")._replace(netloc=rest[:end])
    except ValueError:
        _refuse("it is malformed")


def _directory(split: SplitResult) -> Path:
    if split.netloc not in {"", "localhost"}:
        _refuse("file:// is followed by a host or a relative path, so a slash may be missing")
    if split.query or split.fragment:
        _refuse("a path must write '?' as %3F and '#' as %23")
    raw = unquote_to_bytes(split.path)
    if not raw.startswith(b"/") or b"\0" in raw:
        _refuse("file:// needs an absolute directory without NUL")
    return Path(os.fsdecode(raw))


def _parts(split: SplitResult, text: str) -> _Parts:
    family = "redis" + split.scheme.removeprefix("rediss").removeprefix("redis")
    family = family if split.scheme.startswith("redis") else split.scheme
    if family not in _PARAMETERS:
        known = ", ".join(sorted({*_PARAMETERS, *(_secured(name) for name in _PARAMETERS), "file"}))
        _refuse(f"its scheme is not one of {known}")
    if split.fragment or "#" in text:
        _refuse("it contains '#', which a password must write as %23")
    query = dict(_checked_query(split, family))
    tls = split.scheme.startswith("rediss") or query.pop("tls", "false").lower() == "true"
    query.pop("tls", None)
    _check_tls(query, tls=tls)
    userinfo, _, hosts = split.netloc.rpartition("@")
    return _Parts(family, tls, userinfo, hosts, split.path, query)


def _secured(family: str) -> str:
    return family.replace("redis", "rediss", 1)


def _checked_query(split: SplitResult, family: str) -> Iterator[tuple[str, str]]:
    may_tls = split.scheme != "unix" and (split.scheme.startswith("rediss") or "+" in family)
    allowed = _PARAMETERS[family] | (_TLS if may_tls else set())
    for name, value in parse_qsl(split.query, keep_blank_values=True):
        if name not in allowed:
            _refuse(f"its query may hold only {', '.join(sorted(allowed))}")
        _check_parameter(name, value)
        yield name, value


def _check_parameter(name: str, value: str) -> None:
    if name == "db" and not _is_number(value):
        _refuse("the parameter db is not the number of a database")
    if name in _VALUES and value.lower() not in _VALUES[name]:
        _refuse(f"the parameter {name} is not one of {', '.join(_VALUES[name])}")
    if name in _FILES and not _is_readable(Path(value)):
        _refuse(f"the parameter {name} does not name a readable file")
    if name == "ssl_ca_path" and not Path(value).is_dir():
        _refuse("the parameter ssl_ca_path does not name a directory")


def _check_tls(query: dict[str, str], *, tls: bool) -> None:
    if not tls and not _TLS.isdisjoint(query):
        _refuse("it has parameters of TLS, so its scheme must begin with rediss")
    if "ssl_keyfile" in query and "ssl_certfile" not in query:
        _refuse("the parameter ssl_keyfile needs ssl_certfile beside it")


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return path.is_file()
    except (OSError, ValueError):
        return False


def _with_password(parts: _Parts, password: Secret | None) -> _Parts:
    user, _, given = parts.userinfo.partition(":")
    if password is None:
        return parts
    if given and unquote(given) != password.reveal():
        _refuse(f"it names another password than {PASSWORD_VARIABLE}; give one of them")
    if given:
        return parts
    try:
        quoted = quote(password.reveal(), safe="")
    except UnicodeEncodeError:  # bytes that are no text reach Python as lone surrogates
        _refuse(f"{PASSWORD_VARIABLE} is no text in UTF-8, which a server is sent")
    return parts._replace(userinfo=f"{user}:{quoted}")


def _server_url(parts: _Parts) -> RedisUrl:
    if parts.family == "unix":
        if parts.hosts or not parts.path.strip("/"):
            _refuse("unix:// needs the absolute path of a socket")
        return RedisUrl(Secret(_redis_py_url(parts, "")), f"unix://{unquote(parts.path)}")
    if "," in parts.hosts:
        _refuse("it names several hosts, which only +sentinel and +cluster take")
    address = _address(parts.hosts, REDIS_PORT)
    display = f"{_shown(parts, (address,))}/{_database(parts.path, parts.query)}"
    return RedisUrl(Secret(_redis_py_url(parts, parts.hosts)), display, parts.tls)


def _sentinel_url(parts: _Parts) -> SentinelUrl:
    sentinels = _addresses(parts.hosts, SENTINEL_PORT)
    master, _, number = parts.path.removeprefix("/").partition("/")
    if _MASTER.fullmatch(master) is None:
        _refuse("after the sentinels it needs /master, the name that they know the master by")
    database = _database(number, parts.query)
    query = dict(parts.query)
    username, password = query.pop("sentinel_username", None), query.pop("sentinel_password", None)
    query.pop("db", None)
    common = parts._replace(path=f"/{database}", query=query)
    return SentinelUrl(
        secret=Secret(_redis_py_url(common, str(sentinels[0]))),
        display=f"{_shown(parts, sentinels)}/{master}/{database}",
        tls=parts.tls,
        sentinels=sentinels,
        master=master,
        username=username,
        password=None if password is None else Secret(password),
    )


def _cluster_url(parts: _Parts) -> ClusterUrl:
    nodes = _addresses(parts.hosts, REDIS_PORT)
    if _database(parts.path, parts.query) != 0:
        _refuse("a cluster has database 0 alone")
    return ClusterUrl(
        secret=Secret(_redis_py_url(parts._replace(path=""), str(nodes[0]))),
        display=_shown(parts, nodes),
        tls=parts.tls,
        nodes=nodes,
    )


def _shown(parts: _Parts, addresses: tuple[Address, ...]) -> str:
    scheme = _secured(parts.family) if parts.tls else parts.family
    return f"{scheme}://{','.join(str(address) for address in addresses)}"


def _redis_py_url(parts: _Parts, host: str) -> str:
    scheme = "unix" if parts.family == "unix" else "rediss" if parts.tls else "redis"
    userinfo = f"{parts.userinfo}@" if parts.userinfo else ""
    query = f"?{urlencode(parts.query)}" if parts.query else ""
    made = f"{scheme}://{userinfo}{host}{parts.path}{query}"
    try:
        urlsplit(made)  # as redis-py does later, when nobody hides what it says of the password
    except ValueError:
        _refuse("its user, password or host is malformed")
    return made


def _addresses(hosts: str, port: int) -> tuple[Address, ...]:
    return tuple(_address(host, port) for host in hosts.split(","))


def _address(text: str, default_port: int) -> Address:
    try:
        split = urlsplit(f"//{text}")
        host = split.hostname
    except ValueError:
        _refuse("a host is malformed")
    try:
        port = split.port
    except ValueError:
        port = 0
    if not host:
        _refuse("it names no host")
    if port == 0:
        _refuse(f"a port is not a number from 1 to {_PORT_MAX}")
    return Address(unquote(host), default_port if port is None else port)


def _database(path: str, query: dict[str, str]) -> int:
    number = path.removeprefix("/")
    if number and not _is_number(number):
        _refuse("the part after the host is not the number of a database")
    given = {int(text) for text in (number, query.get("db", "")) if text}
    if len(given) > 1:
        _refuse("it names two databases, one after the host and one as the parameter db")
    return given.pop() if given else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
