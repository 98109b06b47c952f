"""What well-known operators pull though no manifest names it, as data."""
