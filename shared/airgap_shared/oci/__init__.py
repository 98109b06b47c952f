"""The vocabulary of OCI as frozen values; no I/O."""
