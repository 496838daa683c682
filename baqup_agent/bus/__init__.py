"""The bus: messages, transports, publisher, heartbeat and events (Contract §3)."""
