"""``python -m baqup_agent.agents.redis``."""

from __future__ import annotations

from baqup_agent.agents.redis import main

if __name__ == "__main__":
    main()
