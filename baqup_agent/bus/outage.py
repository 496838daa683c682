"""What can go wrong with a transport, as the publisher tells it apart.

A third outcome, `baqup_agent.errors.BusRefused`, is the configuration's fault: it ends a run that
is still initializing, and counts as an outage afterwards.
"""

from __future__ import annotations


class BusUnavailable(Exception):
    """The bus cannot be reached or cannot take a write now; the same message may be sent again."""


class MessageRejected(Exception):
    """The bus is well but will never take this message; sending it again is pointless."""
