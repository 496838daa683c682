#!/usr/bin/env python3
"""Answers everything with bytes that are no text and no JSON, and exits 0."""

import os

os.write(1, b"\x00\xff{\x1b[31m" + bytes(range(256)) * 400)
os.write(2, b"[" * 100_000 + b"\n\xfe\xff\n")
