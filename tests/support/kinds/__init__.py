"""Registry kinds: how each of them behaves, as tables, before a real docker-registry."""
