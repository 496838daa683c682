"""The heartbeat of a whole run, on a real server, while the job computes (Contract §1)."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from itertools import pairwise

from baqup_agent.controller.embedded import EmbeddedServer
from tests.runtime.conftest import Act


class Listener:
    """Collects the notifications of a run."""

    def __init__(self, url: str, prefix: str) -> None:
        import redis

        self.client = redis.Redis.from_url(url)
        self.subscription = self.client.pubsub()
        self.subscription.subscribe(f"{prefix}notify")
        self.messages: list[dict] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._stop.is_set():
            message = self.subscription.get_message(timeout=0.1)
            if message and message["type"] == "message":
                self.messages.append(json.loads(message["data"]))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.subscription.close()
        self.client.close()


def test_beats_come_on_time_while_the_job_computes(
    act: Act, redis_server: EmbeddedServer, key_prefix: str, long: bool
) -> None:
    """At an interval of 1 s no two beats are more than 1.5 s apart, from first to last state."""
    listener = Listener(redis_server.url, key_prefix)
    try:
        run = act(
            "compute",
            environ={
                "BAQUP_BUS_URL": redis_server.url,
                "BAQUP_BUS_KEY_PREFIX": key_prefix,
                "BAQUP_AGENT_HEARTBEAT_INTERVAL": "1",
                "COMPUTE_S": "60" if long else "6",
            },
        )
        assert run.wait(120) == 0
        status = {
            key.decode(): value.decode()
            for key, value in listener.client.hgetall(f"{key_prefix}status:{run.job_id}").items()
        }
    finally:
        listener.stop()

    beats = [message for message in listener.messages if message["type"] == "heartbeat"]
    times = [datetime.fromisoformat(beat["timestamp"]) for beat in beats]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    print(f"{len(beats)} beats, longest gap {max(gaps):.3f} s")
    assert len(beats) >= (60 if long else 6)
    assert max(gaps) < 1.5
    assert list(dict.fromkeys(beat["state"] for beat in beats)) == [
        "initializing", "running", "completing", "terminated",
    ]  # fmt: skip
    assert status["status"] == "success"
    assert status["error"] == "null"
