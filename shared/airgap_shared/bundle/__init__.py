"""What bundle-spec.md says, as types; no I/O."""
