#!/usr/bin/env python3
"""Writes as fast as it can in a job, in lines and without any, for ever."""

import os
import sys

if sys.argv[1:2] == ["--info"]:
    print('{"roles": ["snapshot"]}')
    sys.exit()
lines = b"x" * 99 + b"\n"
while True:
    os.write(2, lines * 600)
    os.write(2, b"y" * 60_000)
    os.write(1, b"z" * 60_000)
