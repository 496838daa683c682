"""Certificates made for a test: a good authority and its servers and clients, and bad ones."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import trustme
from attrs import frozen

from tests.servers.process import LOOPBACK


@frozen
class Files:
    """A certificate with its chain, and its private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates and writes them down.

    Args:
        directory: where to.
        name: distinguishes authorities in one directory.
    """

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = name
        self._ca = trustme.CA()
        self.certificate = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.certificate))

    def issue(self, identity: str = LOOPBACK, *, expired: bool = False) -> Files:
        """Return a certificate for a host or a client."""
        past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        made = (
            self._ca.issue_cert(identity, not_before=past, not_after=past + _HOUR)
            if expired
            else self._ca.issue_cert(identity)
        )
        stem = f"{self._name}-{identity}-{'expired' if expired else 'valid'}"
        files = Files(self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        files.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(files.key))
        return files

    def server_context(self, files: Files, *, demand: bool = False) -> ssl.SSLContext:
        """Return a server's side of TLS; ``demand`` asks clients for a certificate of ours."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certificate, files.key)
        if demand:
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


_HOUR = dt.timedelta(hours=1)
