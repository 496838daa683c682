"""Agents that break a rule of the lifecycle each, and the checks that have to catch them."""

from __future__ import annotations

from tests.conformance.mutants import Mutant

LIFECYCLE = (
    Mutant(
        "runs-twice",
        ("lifecycle/9/order-of-states",),
        '        bus.enter("completing")\n',
        '        bus.enter("completing")\n        bus.enter("running")\n'
        '        bus.enter("completing")\n',
    ),
    Mutant(
        "tells-no-completing",
        ("lifecycle/9/order-of-states",),
        '        bus.enter("completing")\n',
        '        bus.state, bus.entered = "completing", time.monotonic()\n',
        beside=("signals/21/in-completing",),
    ),
    Mutant(
        "never-failed",
        ("lifecycle/9/order-of-states",),
        '        bus.enter("failed" if error else "terminated")',
        '        bus.enter("terminated")',
    ),
    Mutant(
        "status-has-no-number-of-its-own",
        ("lifecycle/10/sequence-and-time",),
        "            self.seq += 1\n",
        '            self.seq += kind != "status"\n',
    ),
    Mutant(
        "one-counter-per-type",
        ("lifecycle/10/sequence-and-time",),
        '"agent_id": self.agent_id, "seq": self.seq}',
        '"agent_id": self.agent_id, "seq": self.seq - (kind == "status")}',
    ),
    Mutant(
        "counts-down",
        ("lifecycle/10/sequence-and-time",),
        '"agent_id": self.agent_id, "seq": self.seq}',
        '"agent_id": self.agent_id, "seq": 1000 - self.seq}',
    ),
    Mutant(
        "status-of-the-past",
        ("lifecycle/10/sequence-and-time",),
        '            head |= {"timestamp": now(), ',
        '            stamp = now() if kind != "status" else "2020-02-02T02:02:02.000000Z"\n'
        '            head |= {"timestamp": stamp, ',
    ),
    Mutant(
        "local-time",
        ("lifecycle/10/sequence-and-time",),
        '            head |= {"timestamp": now(), ',
        '            head |= {"timestamp": now()[:-1], ',
    ),
    Mutant(
        "initializes-for-ever",
        ("lifecycle/11/initializing-too-long",),
        '    "initializing": (69, "INITIALIZATION_TIMEOUT", 30.0),',
        '    "initializing": (69, "INITIALIZATION_TIMEOUT", 30.0, os.environ.pop('
        '"PLAIN_INITIALIZING_LIMIT_S", None))[:3],',
    ),
    Mutant(
        "initializes-late-as-io-error",
        ("lifecycle/11/initializing-too-long",),
        '(69, "INITIALIZATION_TIMEOUT", 30.0)',
        '(74, "IO_ERROR", 30.0)',
    ),
    Mutant(
        "no-job-timeout",
        ("lifecycle/12/job-timeout",),
        '"JOB_TIMEOUT", 0.0)',
        '"JOB_TIMEOUT", 3600.0)',
    ),
    Mutant(
        "job-timeout-as-abort",
        ("lifecycle/12/job-timeout",),
        '(1, "JOB_TIMEOUT", 0.0)',
        '(1, "ABORTED", 0.0)',
    ),
    Mutant(
        "publishes-after-the-timeout",
        ("lifecycle/12/job-timeout",),
        "    except Failed as error:\n        known = error\n",
        "    except Failed as error:\n        known = error\n"
        '        if error.code == "JOB_TIMEOUT":\n'
        '            open(os.path.join(job.work, "data.tar"), "w").close()\n'
        "            job.publish()\n",
    ),
    Mutant(
        "completes-for-ever",
        ("lifecycle/13/completing-too-long",),
        '    "completing": (74, "COMPLETION_TIMEOUT", 60.0),',
        '    "completing": (74, "COMPLETION_TIMEOUT", 60.0, os.environ.pop('
        '"PLAIN_COMPLETING_LIMIT_S", None))[:3],',
    ),
    Mutant(
        "unreported-and-unpublished",
        ("lifecycle/13/completing-too-long",),
        '(74, "COMPLETION_TIMEOUT", 60.0)',
        '(75, "COMPLETION_TIMEOUT", 60.0)',
    ),
)
