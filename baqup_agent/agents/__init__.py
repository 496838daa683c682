"""Reference agents, written on nothing but what any author can use."""
