"""``baqup-agent lifecycle …``: look at, prove, draw and convert lifecycles."""
