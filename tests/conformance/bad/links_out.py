#!/usr/bin/env python3
"""Publishes links that lead out of staging and round in it; size and checksum are right."""

import json
import os
import sys
from pathlib import Path

OUTSIDE = Path(os.environ["LC_BAD_OUTSIDE"])  # what the suite passes on

if sys.argv[1:2] == ["snapshot"]:
    job = os.environ["BAQUP_JOB_ID"]
    folder = Path(os.environ["BAQUP_STAGING_DIR"], job)
    folder.mkdir()
    (folder / "outside").symlink_to(OUTSIDE)
    (folder / "round").symlink_to("..")
    (folder / "data.tar").symlink_to(OUTSIDE / "kept.txt")
    artifact = {
        "filename": "data.tar",
        "size_bytes": 4,
        "checksum": {
            "algorithm": "sha256",
            "value": "79f076abdd19a752db7267bfff2f9022161d120dea919fdaca2ffdfc24ca8c96",
        },
    }
    manifest = {
        "version": "1.0",
        "job_id": job,
        "agent": "links-out",
        "role": "snapshot",
        "created_at": "2026-01-15T03:00:00Z",
        "artifacts": [artifact],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    folder.chmod(0o500)
