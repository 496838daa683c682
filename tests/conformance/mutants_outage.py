"""Agents that take an outage of the bus wrongly each, and the checks that have to catch them."""

from __future__ import annotations

from tests.conformance.mutants import Mutant

_UNREPORTED = (
    "outage/29/absent",
    "outage/31/down-in-completing",
    "outage/32/black-hole",
    "outage/35/no-buffer",
)
_RETURNING = (
    "outage/29/comes-late",
    "outage/30/replay",
    "outage/31/back-within-grace",
    "outage/33/password-changed",
    "outage/33/troubled-server",
    "outage/34/flapping",
)
_CODE = "        exit_code = exit_code or 75\n"
_GRACE = '2 if error else config["BAQUP_BUS_GRACE_PERIOD"]'
_BEAT = """\
                if self.connect() or state or time.monotonic() >= due:
                    self.send(self.beat(state or self.state))
"""
_KEEP_BEATS = """\
                if state or self.socket is None or time.monotonic() >= due:
                    self.kept = [*getattr(self, "kept", []), self.beat(state or self.state)]
                    self.connect()
                    while self.kept:
                        self.send(self.kept[0])
                        del self.kept[0]
"""
_WARN = '                log("warn", f"messages cannot be kept on disk: {error.strerror}")\n'

OUTAGE = (
    Mutant(
        "gives-up-at-once",
        ("outage/29/absent", "outage/31/back-within-grace"),
        _GRACE,
        "0.2",
        beside=_RETURNING,
    ),
    Mutant(
        "waits-for-the-bus-too-long",
        ("outage/29/absent",),
        _GRACE,
        "17",
        beside=_UNREPORTED,
    ),
    Mutant(
        "no-orphan-status",
        ("outage/29/absent", "outage/29/failed-job"),
        "        job.leave_orphan(exit_code, error)\n",
        "",
        beside=(*_UNREPORTED, "outage/33/refused-credentials"),
    ),
    Mutant(
        "unreported-is-0",
        ("outage/29/absent", "outage/31/down-in-completing"),
        _CODE,
        "",
        beside=(*_UNREPORTED, *_RETURNING),
    ),
    Mutant(
        "unreported-is-a-failure",
        ("outage/31/down-in-completing",),
        _CODE,
        "        exit_code = exit_code or 69\n",
        beside=_UNREPORTED,
    ),
    Mutant(
        "failed-is-75",
        ("outage/29/failed-job",),
        _CODE,
        "        exit_code = 75\n",
        beside=("outage/33/refused-credentials",),
    ),
    Mutant(
        "events-lost-without-a-bus",
        ("outage/29/comes-late", "outage/30/replay"),
        "            self.pending.append(message)\n",
        '            if self.socket is not None or message["type"] == "status":\n'
        "                self.pending.append(message)\n",
        beside=_RETURNING,
    ),
    Mutant(
        "drops-what-failed",
        ("outage/30/replay",),
        '                self.refused = "WRONGPASS"',
        "                with self.lock:\n                    del self.pending[:1]\n"
        '                self.refused = "WRONGPASS"',
        beside=(*_RETURNING, *_UNREPORTED, "outage/29/failed-job", "outage/33/refused-credentials"),
    ),
    Mutant("beats-kept", ("outage/30/replay",), _BEAT, _KEEP_BEATS, beside=_RETURNING),
    Mutant(
        "work-waits-for-the-bus",
        ("outage/32/black-hole",),
        '        self.put(self.message("event", **said))\n',
        '        self.put(self.message("event", **said))\n'
        "        while self.pending:\n            time.sleep(0.01)\n",
        beside=(*_RETURNING, "outage/35/no-buffer"),
    ),
    Mutant(
        "refused-is-an-outage",
        ("outage/33/refused-credentials",),
        "        if bus.refused:\n",
        "        if False:\n",
    ),
    Mutant(
        "password-in-the-log",
        ("outage/33/refused-credentials",),
        "        if bus.refused:\n",
        '        if bus.refused:\n            log("error", config["BAQUP_BUS_URL"])\n',
    ),
    Mutant(
        "refused-later-is-a-failure",
        ("outage/33/password-changed",),
        "        state = self.bus.state\n",
        "        state = self.bus.state\n"
        "        if self.bus.refused:\n"
        '            raise Failed(64, "BUS_REFUSED", "config", "the bus refuses us")\n',
    ),
    Mutant(
        "crashes-on-an-error-reply",
        ("outage/33/troubled-server",),
        '        if not line or line.startswith(b"-"):\n',
        '        if line.startswith((b"-OOM", b"-EXECABORT")):\n'
        "            os._exit(70)\n"
        '        if not line or line.startswith(b"-"):\n',
        beside=("outage/33/password-changed",),
    ),
    Mutant(
        "crashes-on-a-replica",
        ("outage/33/troubled-server",),
        '        if not line or line.startswith(b"-"):\n',
        '        if line.startswith(b"-READONLY"):\n'
        "            os._exit(70)\n"
        '        if not line or line.startswith(b"-"):\n',
    ),
    Mutant(
        "crashes-on-loading",
        ("outage/33/troubled-server",),
        '        if not line or line.startswith(b"-"):\n',
        '        if line.startswith(b"-LOADING"):\n'
        "            os._exit(70)\n"
        '        if not line or line.startswith(b"-"):\n',
    ),
    Mutant(
        "events-twice",
        ("outage/34/flapping",),
        '["XADD", key, entry, *fields]',
        '["XADD", key, "*", *fields]',
        beside=("outage/30/replay", "outage/33/password-changed"),
    ),
    Mutant("silent-without-a-buffer", ("outage/35/no-buffer",), _WARN, "                pass\n"),
    Mutant(
        "complains-for-each-message",
        ("outage/35/no-buffer",),
        "            if not self.unkept:\n",
        "            if self.unkept is not None:\n",
    ),
    Mutant(
        "fails-without-a-buffer",
        ("outage/35/no-buffer",),
        "            if not self.unkept:\n",
        "            if not self.unkept:\n                raise\n",
    ),
)
