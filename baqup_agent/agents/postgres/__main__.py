"""``python -m baqup_agent.agents.postgres``."""

from __future__ import annotations

from baqup_agent.agents.postgres import main

if __name__ == "__main__":
    main()
