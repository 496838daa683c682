"""Agents that take a signal wrongly each, and the checks that have to catch them."""

from __future__ import annotations

from tests.conformance.mutants import Mutant

_TERM = "        signal.signal(number, lambda *_: job.stopped.set())"
_PROBE = "    signal.signal(signal.SIGUSR1, lambda *_: bus.wanted.put(bus.state))"
_FAILED = "    except Failed as error:\n        known = error\n"
_START = "def run_job(role):\n"

#: What looks at how an abort in running ends, through `_require_aborted` and more loosely.
_ABORTED = (
    "signals/19/int-and-term",
    "signals/19/many-terms",
    "signals/20/term-in-a-blocking-call",
    "signals/20/term-with-a-child",
)
_STOPPED = (*_ABORTED, "signals/21/in-running", "signals/23/burst")

#: The same for initializing.
_STOPPED_EARLY = ("lifecycle/9/order-of-states", "signals/21/in-initializing")

#: Whether these strike where a fault is depends on the moment.
_SWEPT = ("signals/14/as-any-process", "signals/14/as-process-one")
_AROUND = ("signals/18/term-around-completing",)

SIGNALS = (
    Mutant(
        "stopped-while-it-starts-is-a-success",
        ("signals/14/as-any-process", "signals/14/as-process-one"),
        _START,
        f"{_START}    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n    time.sleep(0.5)\n",
    ),
    Mutant(
        "deaf-as-process-one",
        ("signals/14/as-process-one",),
        "    for number in (signal.SIGTERM, signal.SIGINT):\n",
        "    for number in (signal.SIGTERM, signal.SIGINT)[os.getpid() == 1 :]:\n",
    ),
    Mutant(
        "stopped-in-initializing-is-a-success",
        ("signals/15/term-in-initializing",),
        _FAILED,
        f'{_FAILED}        if (bus.state, error.code) == ("initializing", "ABORTED"):\n'
        "            return 0, None\n",
        beside=(*_STOPPED_EARLY, *_SWEPT),
    ),
    Mutant(
        "handlers-after-initializing",
        ("signals/15/term-in-initializing",),
        _TERM,
        "        bus.heard = [*getattr(bus, 'heard', []), number]\n"
        "    bus.enter = lambda state: (\n"
        "        [signal.signal(one, lambda *_: job.stopped.set()) for one in bus.heard]\n"
        "        if state == 'running'\n"
        "        else None,\n"
        "        Bus.enter(bus, state),\n"
        "    )",
        beside=(*_STOPPED_EARLY, *_SWEPT),
    ),
    Mutant(
        "abort-exits-130",
        ("signals/16/term-in-running",),
        'raise Failed(1, "ABORTED", "transient", "told to stop")',
        'raise Failed(130 if state == "running" else 1, "ABORTED", "transient", "told to stop")',
        beside=(*_STOPPED, *_AROUND),
    ),
    Mutant(
        "abort-is-permanent",
        ("signals/16/term-in-running",),
        '"ABORTED", "transient", "told to stop")',
        '"ABORTED", "permanent", "told to stop")',
        beside=_ABORTED,
    ),
    Mutant(
        "abort-publishes",
        ("signals/16/term-in-running",),
        _FAILED,
        f'{_FAILED}        if (bus.state, error.code) == ("running", "ABORTED"):\n'
        '            open(os.path.join(job.work, "data.tar"), "w").close()\n'
        "            job.publish()\n",
        beside=(*_STOPPED, *_SWEPT, *_AROUND),
    ),
    Mutant(
        "abort-unreported",
        ("signals/16/term-in-running",),
        "        self.bus.put(self.status(exit_code, error))\n",
        '        if not error or error["code"] != "ABORTED":\n'
        "            self.bus.put(self.status(exit_code, error))\n",
        beside=(
            *_STOPPED,
            *_AROUND,
            "signals/15/term-in-initializing",
            "signals/21/in-initializing",
        ),
    ),
    Mutant(
        "abort-leaves-children",
        ("signals/20/term-with-a-child",),
        "            os.killpg(child, signal.SIGKILL)",
        "            os.kill(child, signal.SIGKILL)",
    ),
    Mutant(
        "abort-asks-children",
        ("signals/20/term-with-a-child",),
        "            os.killpg(child, signal.SIGKILL)",
        "            os.killpg(child, signal.SIGTERM)",
    ),
    Mutant(
        "blocked-work-is-waited-for",
        ("signals/20/term-in-a-blocking-call",),
        "            self.call(lambda: ends[0].recv(1))",
        "            ends[0].settimeout(3)\n            ends[0].recv(1)",
    ),
    Mutant(
        "completing-is-aborted",
        ("signals/17/term-in-completing",),
        'if self.stopped.is_set() and state != "completing":',
        "if self.stopped.is_set():",
        beside=("signals/17/beats-go-on", "signals/18/term-around-completing"),
    ),
    Mutant(
        "stopped-in-completing-is-no-success",
        ("signals/17/term-in-completing",),
        "    else:\n        return 0, None\n",
        "    else:\n        if not job.stopped.is_set():\n            return 0, None\n"
        '        known = Failed(1, "ABORTED", "transient", "told to stop")\n',
        beside=("signals/17/beats-go-on", "signals/18/term-around-completing"),
    ),
    Mutant(
        "no-beats-in-completing",
        ("signals/17/beats-go-on",),
        'due = time.monotonic() + self.config["BAQUP_AGENT_HEARTBEAT_INTERVAL"]',
        'due = time.monotonic() + self.config["BAQUP_AGENT_HEARTBEAT_INTERVAL"]\n'
        '                    due += 600 * (self.state == "completing")',
        beside=("heartbeat/24/interval", "heartbeat/24/every-state"),
    ),
    Mutant(
        "publication-is-broken-off",
        ("signals/18/term-around-completing",),
        "        self.published = True\n",
        '        if self.stopped.wait(0.2) and os.environ.get("PLAIN_COMPLETING_S") is None:\n'
        '            raise Failed(1, "ABORTED", "transient", "told to stop")\n'
        "        self.published = True\n",
    ),
    Mutant(
        "second-term-kills",
        ("signals/19/many-terms",),
        _TERM,
        "        signal.signal(\n            number,\n            lambda number, _: (\n"
        "                job.stopped.set(),\n"
        "                signal.signal(number, signal.SIG_DFL),\n"
        "            ),\n        )",
        beside=("signals/19/int-and-term",),
    ),
    Mutant(
        "int-is-python-s-own",
        ("signals/19/int-and-term",),
        "    for number in (signal.SIGTERM, signal.SIGINT):\n",
        "    for number in (signal.SIGTERM,):\n",
    ),
    Mutant(
        "second-term-is-reported-too",
        ("signals/19/many-terms",),
        _TERM,
        '        again = {"code": "ABORTED", "category": "transient", "retriable": True}\n'
        '        again["message"] = "told again"\n'
        "        signal.signal(\n            number,\n            lambda *_: (\n"
        "                bus.pending.append(job.status(1, again))\n"
        "                if job.stopped.is_set()\n"
        "                else job.stopped.set()\n"
        "            ),\n        )\n"
        "    bus.lock = threading.RLock()  # a handler may interrupt its holder",
        beside=("signals/19/int-and-term",),
    ),
    Mutant(
        "probe-unheard",
        ("signals/21/in-running", "signals/23/burst"),
        _PROBE,
        "    signal.signal(signal.SIGUSR1, lambda *_: None)",
        beside=("signals/21/in-initializing", "signals/21/in-completing"),
    ),
    Mutant(
        "probe-waits-for-work",
        ("signals/21/in-running",),
        _PROBE,
        "    signal.signal(signal.SIGUSR1, lambda *_: threading.Timer(3, bus.wanted.put, "
        "[bus.state]).start())",
        beside=("signals/21/in-initializing", "signals/21/in-completing", "signals/23/burst"),
    ),
    Mutant(
        "probe-stops-the-work",
        ("signals/21/in-running",),
        _PROBE,
        "    signal.signal(signal.SIGUSR1, lambda *_: job.stopped.set())",
        beside=(  # where the short job is over before the probe comes, they see nothing
            "signals/21/in-initializing",
            "signals/21/in-completing",
            "signals/22/as-any-process",
            "signals/22/as-process-one",
            "signals/23/burst",
        ),
    ),
    Mutant(
        "probe-unheard-in-initializing",
        ("signals/21/in-initializing",),
        _PROBE,
        "    signal.signal(\n        signal.SIGUSR1,\n"
        '        lambda *_: bus.state == "initializing" or bus.wanted.put(bus.state),\n    )',
    ),
    Mutant(
        "probe-unheard-in-completing",
        ("signals/21/in-completing",),
        _PROBE,
        "    signal.signal(\n        signal.SIGUSR1,\n"
        '        lambda *_: bus.state == "completing" or bus.wanted.put(bus.state),\n    )',
    ),
    Mutant(
        "probe-kills-at-the-end",
        ("signals/21/at-the-end",),
        '    log("error" if exit_code else "info", "the end", exit_code=exit_code)\n',
        '    log("error" if exit_code else "info", "the end", exit_code=exit_code)\n'
        "    signal.signal(signal.SIGUSR1, signal.SIG_DFL)\n    time.sleep(0.2)\n",
        beside=("signals/22/as-any-process",),
    ),
    Mutant(
        "probe-breaks-the-start",
        ("signals/22/as-process-one", "signals/22/as-any-process"),
        _START,
        f"{_START}    signal.signal(signal.SIGUSR1, lambda *_: os._exit(70))\n"
        "    time.sleep(0.5)\n",
    ),
    Mutant(
        "no-handler-at-the-first-beat",
        ("signals/22/as-any-process",),
        _PROBE,
        "    bus.start(), bus.wanted.put(bus.state), time.sleep(0.5)\n"
        f"    bus.start = lambda: None\n{_PROBE}",
        beside=(*_STOPPED_EARLY, "signals/15/term-in-initializing"),
    ),
    Mutant(
        "fifty-probes-are-enough",
        ("signals/23/burst",),
        _PROBE,
        "    few = iter(range(50))\n"
        "    signal.signal(signal.SIGUSR1, lambda *_: (next(few), bus.wanted.put(bus.state)))",
    ),
)
