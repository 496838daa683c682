"""The bus of one run: a folder or a server of our own that goes with the run, or a given one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from baqup_agent.controller.request import EMBEDDED_BUS, FILE_BUS
from baqup_agent.errors import UsageError


@contextmanager
def open_bus(choice: str) -> Iterator[str]:
    """Provide the bus that ``choice`` asks for, as a URL, and remove it afterwards if it is ours.

    Args:
        choice: ``file``, ``embedded`` or a URL, which is given back as it is.

    Raises:
        UsageError: the choice is none of these, or no embedded server is installed.
    """
    if choice == FILE_BUS:
        # ignore_cleanup_errors: a stray process may still write, and the run is over anyway
        with tempfile.TemporaryDirectory(prefix="baqup-bus-", ignore_cleanup_errors=True) as folder:
            yield Path(folder).as_uri()
    elif choice == EMBEDDED_BUS:
        from baqup_agent.controller.embedded import EmbeddedServer

        with EmbeddedServer() as server:
            yield server.url
    elif "://" not in choice:
        raise UsageError(
            f"the bus {choice!r} is neither {FILE_BUS!r} nor {EMBEDDED_BUS!r} nor a URL such as "
            "redis://localhost:6379/0"
        )
    else:
        yield choice
