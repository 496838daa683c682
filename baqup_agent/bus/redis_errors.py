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
    r"|max number of clients"
)

#: Answers that only a change of configuration helps against.
_REFUSING = re.compile(r"\b(NOAUTH|WRONGPASS|NOPERM|DENIED)\b|ACL failure|unknown command")

#: Complaints of TLS that a second attempt will not cure.
_TLS_REFUSING = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|HTTP_REQUEST|UNSUPPORTED_PROTOCOL"
    r"|UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|NO_SHARED_CIPHER"
    r"|NO_CERTIFICATE|NO_PROTOCOLS_AVAILABLE|ALERT_PROTOCOL_VERSION|KEY_VALUES_MISMATCH",
)

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


def translate(error: Exception, display: str, *, connecting: bool) -> Exception:
    """Return the exception that a transport raises for one of redis-py.

    Args:
        error: what redis-py raised.
        display: the server, without credentials.
        connecting: whether it happened before any message was sent; what a server then says
            against the connection is a matter of configuration.
    """
    reason = describe(error)
    if _is_refusal(error):
        return _refused(reason, display)
    if isinstance(error, _PASSING_CLASSES) or _PASSING.search(str(error)):
        return BusUnavailable(f"{display}: {reason}")
    if connecting:
        return _refused(reason, display)
    return MessageRejected(f"{display}: {reason}")


def _refused(reason: str, display: str) -> BusRefused:
    return BusRefused(
        f"the bus at {display} refused this agent ({reason}); "
        "BAQUP_BUS_URL must name a Redis server with credentials that it accepts",
        suggestions=["check user, password, TLS and database number in BAQUP_BUS_URL"],
    )


def _is_refusal(error: Exception) -> bool:
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
