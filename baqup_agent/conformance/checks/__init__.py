"""The checks, a module for each section; every module here is imported by `all_checks`."""

from __future__ import annotations
