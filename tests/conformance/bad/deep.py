#!/usr/bin/env python3
"""Makes directories without end below staging, takes its own rights away, and ends."""

import os
import sys

if sys.argv[1:2] == ["snapshot"]:
    os.chdir(os.environ["BAQUP_STAGING_DIR"])
    for _ in range(1200):
        os.mkdir("d" * 100)  # noqa: PTH102
        os.chdir("d" * 100)
    os.chmod(".", 0)  # noqa: PTH101
