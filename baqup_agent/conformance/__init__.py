"""A suite that judges any agent, in any language, from outside, as a controller would.

It starts the agent's command, sees what a controller can see (output, exit code, bus, staging
directory, process tree), does to it what the world does (signals, kills, outages), and holds the
outcome against the contract. It shares no code with the SDK that it also judges: what is right
comes from the data files of ``spec/``.

    check.py      what a check is, and the table of all of them (checks/)
    lab.py        what a check is handed: it makes runs
    subject.py    what the agent says of itself before any job
    start.py      how a run begins
    run.py        one run: what is done to it and waited for; seen.py is what was seen of it
    endings.py    what many checks require of a run, as delivery.py and regularity.py
    timeline.py   all that was seen of a run, by one clock
    keeper.py     the process above each agent, that leaves nothing of it behind
    proxy.py      the faulty line to the bus
    suite.py      carries checks out, in parallel; report.py is what comes of it
"""

from __future__ import annotations
