"""What came before: imports remembered on this host and in the registry."""
