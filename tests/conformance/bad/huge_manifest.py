#!/usr/bin/env python3
"""Publishes a manifest, an artifact and a status of 4 GiB each: holes, so they cost no room."""

import os
import sys
from pathlib import Path

if sys.argv[1:2] == ["snapshot"]:
    folder = Path(os.environ["BAQUP_STAGING_DIR"], os.environ["BAQUP_JOB_ID"])
    folder.mkdir()
    for name in ("data.tar", ".baqup-status.json", "manifest.json"):
        with (folder / name).open("wb") as file:
            file.truncate(4 << 30)
