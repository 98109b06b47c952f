"""Kubernetes documents and where images stand in them; no I/O."""
