"""What servers and TLS say, sorted into outage, refusal and rejection."""

from __future__ import annotations

import ssl

import pytest
from redis import exceptions as redis_exceptions

from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.bus.redis_errors import WrongUrl, translate
from baqup_agent.errors import BusRefused

PASSING = [
    redis_exceptions.ConnectionError("Connection closed by server."),
    redis_exceptions.TimeoutError("Timeout reading from socket"),
    redis_exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
    redis_exceptions.ReadOnlyError("You can't write against a read only replica."),
    redis_exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    redis_exceptions.MasterDownError("Link with MASTER is down"),
    redis_exceptions.ClusterDownError("The cluster is down"),
    redis_exceptions.ConnectionError("max number of clients reached"),
    redis_exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
    redis_exceptions.ResponseError("MISCONF Errors writing to the AOF file"),
    redis_exceptions.ResponseError("BUSY Redis is busy running a script."),
    # as a server before version 7 reports an error inside a script
    redis_exceptions.ResponseError(
        "Error running script (call to f_1): @user_script:3: -OOM command not allowed"
    ),
    redis_exceptions.ResponseError(
        "Error running script (call to f_1): @user_script:3: @user_script: 3: -READONLY You can't"
    ),
    redis_exceptions.ResponseError("Script killed by user with SCRIPT KILL."),
    ConnectionResetError("reset by peer"),
]

REFUSING = [
    redis_exceptions.AuthenticationError("invalid username-password pair or user is disabled."),
    redis_exceptions.AuthenticationError("Authentication required."),
    redis_exceptions.AuthorizationError("no"),
    redis_exceptions.NoPermissionError("User agent has no permissions to run the 'eval' command"),
    redis_exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'"),
    redis_exceptions.MovedError("1234 127.0.0.1:7001"),
    redis_exceptions.ResponseError(
        "Error running script (call to f_1): @user_script:3: The user executing the script can't "
        "run this command or subcommand: ACL failure in script"
    ),
    # as Redis 6.2 and 7.0 report denials inside a script
    redis_exceptions.ResponseError(
        "Error running script (call to f_1): @user_script:7: @user_script: 7: The user executing "
        "the script can't publish to the channel mentioned in the command"
    ),
    redis_exceptions.ResponseError(
        "The user executing the script can't run this command or subcommand"
    ),
    # as Valkey does
    redis_exceptions.ResponseError(
        "ACL failure in script: No permissions to access a key script: on @user_script:4."
    ),
    redis_exceptions.ResponseError("unknown command 'EVAL'"),
    redis_exceptions.ResponseError("SELECT is not allowed in cluster mode"),
    redis_exceptions.ResponseError("DB index is out of range"),
    redis_exceptions.ResponseError("DENIED Redis is running in protected mode"),
]


def names(error: Exception) -> str:
    return f"{type(error).__name__}-{str(error)[:30]}"


@pytest.mark.parametrize("connecting", [True, False])
@pytest.mark.parametrize("error", PASSING, ids=names)
def test_what_may_pass_is_an_outage(error: Exception, connecting: bool) -> None:
    """A server that cannot now may be able to later."""
    assert isinstance(translate(error, "redis://h:1/0", connecting=connecting), BusUnavailable)


@pytest.mark.parametrize("connecting", [True, False])
@pytest.mark.parametrize("error", REFUSING, ids=names)
def test_what_only_configuration_cures_is_a_refusal(error: Exception, connecting: bool) -> None:
    """It names the server and the variable, on one line."""
    translated = translate(error, "redis://h:1/0", connecting=connecting)

    assert isinstance(translated, BusRefused)
    assert "redis://h:1/0" in str(translated)
    assert "BAQUP_BUS_URL" in str(translated)
    assert "\n" not in str(translated)


def test_any_other_answer_rejects_the_message_or_while_connecting_the_url() -> None:
    """A server that is well and says no means it."""
    error = redis_exceptions.ResponseError("WRONGTYPE Operation against a key")

    assert isinstance(translate(error, "d", connecting=False), MessageRejected)
    assert isinstance(translate(error, "d", connecting=True), BusRefused)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed: unknown ca"), BusRefused),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), BusRefused),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"), BusRefused),
        (ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] expired"), BusRefused),
        (ssl.SSLError(1, "[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate"), BusRefused),
        (ssl.SSLError(9, "[SSL] PEM lib (_ssl.c:3895)"), BusRefused),
        (ssl.SSLEOFError(8, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred"), BusUnavailable),
        (ConnectionResetError(104, "reset by peer"), BusUnavailable),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_trouble_with_tls_is_found_beneath_redis_pys_own_error(
    cause: Exception, expected: type
) -> None:
    """redis-py shows every fault of a connection as the same class."""
    try:
        try:
            raise cause
        except OSError:
            raise redis_exceptions.ConnectionError("Error connecting") from None
    except redis_exceptions.ConnectionError as error:
        caught = error

    assert isinstance(translate(caught, "d", connecting=True), expected)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (redis_exceptions.MovedError("1234 127.0.0.1:7001"), "redis+cluster://"),
        (redis_exceptions.AuthenticationError("invalid"), "BAQUP_SECRET_BUS_PASSWORD"),
        (redis_exceptions.NoPermissionError("No permissions to access a key"), "KEY_PREFIX"),
        (redis_exceptions.ResponseError("unknown command 'EVAL'"), "redis+sentinel://"),
        (redis_exceptions.ResponseError("DB index is out of range"), "must name a Redis server"),
    ],
)
def test_each_refusal_names_its_remedy(said: Exception, remedy: str) -> None:
    """Whoever reads the line knows what to change."""
    assert remedy in str(translate(said, "redis://h:1/0", connecting=True))


def test_what_was_found_out_by_asking_is_a_refusal() -> None:
    """Reason and remedy stand in one line, and nothing of redis-py's own words."""
    translated = translate(WrongUrl("h:1 speaks TLS", "begin anew"), "d", connecting=True)

    assert isinstance(translated, BusRefused)
    assert "(h:1 speaks TLS); in BAQUP_BUS_URL, begin anew" in str(translated)
