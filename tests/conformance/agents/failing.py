"""An agent on the SDK that fails as it is told to, so that the SDK can be judged there.

``FAIL`` names how: ``leak`` (an error that is full of secrets), ``crash`` (a bug), ``partial``
(one of two parts), or ``input`` (an error of the system).
"""

from __future__ import annotations

import base64
import json
import os
from urllib.parse import quote

from baqup_agent import Agent, Job
from baqup_agent.errors import DataError

FAIL = os.environ.get("FAIL", "")


class FailingAgent(Agent):
    """Backs up a word, or does not."""

    name = "agent-failing"
    version = "1.0.0"

    def snapshot(self, job: Job) -> None:
        with job.component("word"), job.staging.artifact("word") as out:
            out.write(b"word")
        if FAIL == "leak":
            self.leak(job)
        if FAIL == "crash":
            raise RuntimeError("broken\non purpose")
        if FAIL == "input":
            raise OSError(5, "Input/output error")
        if FAIL == "partial":
            with job.component("ledger"):
                raise DataError("the ledger is closed")

    def leak(self, job: Job) -> None:
        """Say every secret in every form wherever an agent can say something, and fail."""
        values = [one for name, one in os.environ.items() if name.startswith("BAQUP_SECRET_")]
        text = " ".join(
            form
            for one in values
            for form in (
                one,
                base64.b64encode(one.encode()).decode(),
                quote(one, safe=""),
                json.dumps(one)[1:-1],
            )
        )
        job.warn("LEAKING", message=text)
        job.metadata(connection=text)
        raise ConnectionError(f"refused: {text}")


if __name__ == "__main__":
    FailingAgent.main()
