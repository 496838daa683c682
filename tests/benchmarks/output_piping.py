"""An agent that takes its content from a pipe, run as a script by the benchmark."""

from __future__ import annotations

from baqup_agent import Agent, Job


class PipingAgent(Agent):
    """Archives what ``cat`` says."""

    name = "agent-piping"
    version = "1.0.0"

    def snapshot(self, job: Job) -> None:
        with job.staging.artifact("data") as out:
            out.run(["cat", job.config["BAQUP_SOURCE_PATH"]])


if __name__ == "__main__":
    PipingAgent.main()
