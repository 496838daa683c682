"""What a failure of redis-py means for the bus.

By class first, since redis-py derives refused credentials from its connection error; then by what
the server said; then by the exceptions underneath, where TLS shows.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from redis import exceptions as redis_exceptions

from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.errors import BusRefused, describe

#: Answers of a server that cannot take a write now. Inside a script of an older server the word
#: stands in the middle of the text.
_PASSING = re.compile(
    r"\b(READONLY|OOM|LOADING|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|MISCONF|BUSY|TRYAGAIN|UNKILLABLE)\b"
    r"|max number of clients|Script killed by user"
)

#: Answers that only a change of configuration helps against. A denial inside a script is worded
#: by every server in its own way.
_REFUSING = re.compile(
    r"\b(NOAUTH|WRONGPASS|NOPERM|DENIED)\b|ACL failure|executing the script can't|unknown command"
    r"|DB index is out of range|SELECT is not allowed"
)

#: Complaints of TLS that a second attempt will not cure: ours about the server's certificate or
#: our own files, the server's about ours (as an alert), and those of two that share no language.
_TLS_REFUSING = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|HTTP_REQUEST|UNSUPPORTED_PROTOCOL"
    r"|UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|NO_SHARED_CIPHER"
    r"|NO_CERTIFICATE|NO_PROTOCOLS_AVAILABLE|ALERT_PROTOCOL_VERSION|KEY_VALUES_MISMATCH"
    r"|ALERT_(CERTIFICATE|UNSUPPORTED|ACCESS|DECRYPT)|\[X509|\[PEM|PEM lib|BAD_DECRYPT|EE_KEY"
)

_DENIED = r"[Nn]o ?[Pp]ermission|NOPERM|ACL failure|executing the script can't"

#: What helps a reader who is denied something.
_READERS = "let its user read the keys that begin with the prefix, by SCAN, HGETALL and XRANGE"

#: What helps, by what the reason says; the first that is found.
_REMEDIES = {
    r"MovedError|support disabled": (
        "BAQUP_BUS_URL names a node of a cluster; write redis+cluster://host:port,…"
    ),
    _DENIED: (
        "let the user of BAQUP_BUS_URL write keys and publish under BAQUP_BUS_KEY_PREFIX, "
        "by the commands that the contract names"
    ),
    r"CERTIFICATE_REQUIRED|ALERT_|HANDSHAKE_FAILURE|BAD_CERTIFICATE": (
        "name a client certificate that the server trusts by ssl_certfile and ssl_keyfile in "
        "BAQUP_BUS_URL"
    ),
    r"CERTIFICATE_VERIFY_FAILED": (
        "give the server a valid certificate for its host name, or name its authority by "
        "ssl_ca_certs in BAQUP_BUS_URL"
    ),
    r"Authentication|NOAUTH|WRONGPASS": (
        "give user and password in BAQUP_BUS_URL (to sentinels as sentinel_username and "
        "sentinel_password), or the password as BAQUP_SECRET_BUS_PASSWORD"
    ),
    r"unknown command": (
        "BAQUP_BUS_URL must name a Redis server that runs scripts; write sentinels as "
        "redis+sentinel://host:port,…/master"
    ),
}
_REMEDY = "BAQUP_BUS_URL must name a Redis server with credentials that it accepts"

_CREDENTIALS = (
    redis_exceptions.AuthenticationError,
    redis_exceptions.AuthorizationError,
    redis_exceptions.AuthenticationWrongNumberOfArgsError,
    redis_exceptions.NoPermissionError,
)
_PASSING_CLASSES = (
    redis_exceptions.ConnectionError,
    redis_exceptions.TimeoutError,
    redis_exceptions.OutOfMemoryError,
    redis_exceptions.ReadOnlyError,
    redis_exceptions.ClusterDownError,  # MASTERDOWN derives from it
    redis_exceptions.TryAgainError,
    OSError,
)


class WrongUrl(Exception):
    """What stands in the URL can never work, as was found out by asking.

    Args:
        reason: what was found out.
        remedy: what helps.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def translate(error: Exception, display: str, *, connecting: bool) -> Exception:
    """Return the exception that a transport raises for one of redis-py.

    Args:
        error: what redis-py raised.
        display: the server, without credentials.
        connecting: whether it happened before any message was sent; what a server then says
            against the connection is a matter of configuration.
    """
    reason = describe(error)
    if isinstance(error, WrongUrl):
        return _refused(str(error), display, f"in BAQUP_BUS_URL, {error.remedy}")
    if is_refusal(error):
        return _refused(reason, display, _remedy(reason))
    if isinstance(error, _PASSING_CLASSES) or _PASSING.search(str(error)):
        return BusUnavailable(f"{display}: {reason}")
    if connecting:
        return _refused(reason, display, _remedy(reason))
    return MessageRejected(f"{display}: {reason}")


def refusal_of_reader(error: Exception, display: str) -> BusRefused | None:
    """Return what to tell somebody who may never read a bus; None for an outage.

    Args:
        error: what redis-py raised.
        display: the server, without credentials.
    """
    if isinstance(error, WrongUrl):
        reason, remedy = str(error), f"in the bus's URL, {error.remedy}"
    elif is_refusal(error):
        reason = describe(error)
        remedy = _READERS if re.search(_DENIED, reason) else _remedy(reason)
    else:
        return None
    return BusRefused(f"the bus at {display} cannot be read with this URL ({reason}); {remedy}")


def _refused(reason: str, display: str, remedy: str) -> BusRefused:
    return BusRefused(
        f"the bus at {display} refused this agent ({reason}); {remedy}",
        suggestions=["check user, password, TLS and database number in BAQUP_BUS_URL"],
    )


def _remedy(reason: str) -> str:
    return next((help_ for text, help_ in _REMEDIES.items() if re.search(text, reason)), _REMEDY)


def is_refusal(error: Exception) -> bool:
    """Tell whether an exception of redis-py shows by itself that trying again is no use."""
    if isinstance(error, (*_CREDENTIALS, redis_exceptions.InvalidResponse)):
        return True
    if isinstance(error, redis_exceptions.MovedError):
        return True  # a node of a cluster, which needs another client
    if isinstance(error, redis_exceptions.ResponseError):
        return _REFUSING.search(str(error)) is not None
    return any(_is_tls_refusal(below) for below in _chain(error))


def _is_tls_refusal(error: BaseException) -> bool:
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    # redis-py keeps the text of some errors of TLS, but not always the exception.
    return _TLS_REFUSING.search(str(error)) is not None and (
        isinstance(error, ssl.SSLError) or "SSL" in str(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
