"""The master that sentinels watch: found when it is first needed, and anew after each failure.

redis-py can look for a master too, but waits a whole timeout for each sentinel that is silent,
believes the first that answers, and tells an unknown name, a refused password and an unreachable
sentinel apart by nothing but text. Here the majority decides, and what can only be cured in the
configuration is said to be so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from baqup_agent.bus.redis_errors import WrongUrl
from baqup_agent.bus.url import Address, SentinelUrl

if TYPE_CHECKING:
    from redis import Redis

    from baqup_agent.bus.redis_connect import RedisClient

#: Seconds that each sentinel is given at least, however many there are.
SHARE_MIN_S = 0.25

_NAMES_SHOWN = 5


@frozen
class _Answer:
    """What one sentinel says; no address if the master is unknown to it or down."""

    known: tuple[str, ...]
    address: Address | None
    epoch: int


class MasterClient:
    """Speaks to the master.

    Args:
        url: where the sentinels are.
        for_master: settings of redis-py's client of the master.
        for_sentinels: the same for each sentinel.
        timeout_s: seconds that the search for the master may take.
    """

    def __init__(
        self,
        url: SentinelUrl,
        for_master: dict[str, Any],
        for_sentinels: dict[str, Any],
        timeout_s: float,
    ) -> None:
        self._url = url
        self._for_master = for_master
        share_s = max(SHARE_MIN_S, timeout_s / len(url.sentinels))
        self._for_sentinels = {
            **for_sentinels,
            "socket_timeout": share_s,
            "socket_connect_timeout": share_s,
        }
        self._client: Redis | None = None
        self._address: Address | None = None

    def execute_command(self, *arguments: object) -> object:
        """Send one command to the master."""
        from redis.exceptions import ConnectionError as Lost
        from redis.exceptions import ReadOnlyError
        from redis.exceptions import TimeoutError as Late

        try:
            client = cast("RedisClient", self.node())  # redis-py leaves it untyped
            return client.execute_command(*arguments)
        except (Lost, Late, ReadOnlyError):
            self.close()  # there may be another master by now
            raise

    def node(self) -> Redis:
        """Return the client of the master, which is looked for if it is not known."""
        from redis import Redis

        if self._client is None:
            self._address = self._find()
            self._client = Redis(
                host=self._address.host, port=self._address.port, **self._for_master
            )
        return self._client

    def suspects(self) -> Iterator[Address]:
        """Yield the port that was spoken to last."""
        yield self._address or self._url.sentinels[0]

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _find(self) -> Address:
        """Ask until a majority agrees, or all were asked; then the latest configuration wins."""
        self._address = None
        answers: list[_Answer] = []
        failures: list[Exception] = []
        for sentinel in self._url.sentinels:
            try:
                answers.append(self._ask(sentinel))
            except Exception as error:  # noqa: BLE001  all kinds count; one is raised below
                failures.append(error)
            votes = Counter(answer.address for answer in answers if answer.address)
            if votes and votes.most_common(1)[0][1] > len(self._url.sentinels) // 2:
                return votes.most_common(1)[0][0]
        if not answers:
            raise _worst(failures)
        return self._latest(answers, all_answered=not failures)

    def _ask(self, sentinel: Address) -> _Answer:
        from redis import Redis
        from redis.exceptions import ResponseError

        with Redis(host=sentinel.host, port=sentinel.port, **self._for_sentinels) as client:
            try:
                masters: Any = client.sentinel_masters()
            except ResponseError as error:
                if "unknown command" in str(error).lower():
                    raise WrongUrl(f"{sentinel} is no sentinel", _NO_SENTINEL) from error
                raise
        state = masters.get(self._url.master)
        if state is None or not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            return _Answer(tuple(masters), None, 0)
        return _Answer(
            tuple(masters), Address(state["ip"], int(state["port"])), int(state["config-epoch"])
        )

    def _latest(self, answers: list[_Answer], *, all_answered: bool) -> Address:
        from redis.exceptions import ConnectionError as Lost

        name = self._url.master
        known = sorted({known for answer in answers for known in answer.known})
        if name not in known and all_answered:
            raise WrongUrl(
                f"its sentinels know no master {name!r}",
                f"name one that they know: {', '.join(known[:_NAMES_SHOWN]) or 'there is none'}",
            )
        epoch = max(answer.epoch for answer in answers)
        latest = {answer.address for answer in answers if answer.epoch == epoch}
        latest.discard(None)
        if not latest:
            raise Lost(f"no sentinel knows where the master {name!r} is now")
        if len(latest) > 1:
            raise Lost(f"the sentinels disagree on where the master {name!r} is")
        return latest.pop() or self._url.sentinels[0]


_NO_SENTINEL = "name sentinels (usually on port 26379), or begin the URL with redis://"


def _worst(failures: list[Exception]) -> Exception:
    """Return the failure that tells most: what is not mere silence."""
    from redis.exceptions import AuthenticationError, ResponseError

    telling = (AuthenticationError, ResponseError, WrongUrl)
    return next((one for one in failures if isinstance(one, telling)), failures[0])
