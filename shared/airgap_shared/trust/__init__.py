"""Signatures over bytes and the keys behind them; no I/O."""
