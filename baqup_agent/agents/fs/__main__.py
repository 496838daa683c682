"""``python -m baqup_agent.agents.fs``."""

from __future__ import annotations

from baqup_agent.agents.fs import main

if __name__ == "__main__":
    main()
