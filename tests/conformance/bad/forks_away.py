#!/usr/bin/env python3
"""Ends at once, and leaves two processes in sessions of their own, deaf, under other names."""

import os
import signal
import sys

for number in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(one, signal.SIG_IGN)
            if number:  # this one holds the output open as well
                os.execvp("sleep", ["kworker/0:1", "600"])
            for descriptor in range(3):
                os.close(descriptor)
            os.chdir("/")
            signal.pause()
        os._exit(0)
    os.wait()
sys.exit(0)
