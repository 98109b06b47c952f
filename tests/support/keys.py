"""Keys that are the same on every run: what a test is named after must not change."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from airgap_shared.trust.privatekey import PrivateKey


def fixed_key(number: int) -> PrivateKey:
    """The key with this secret number; a secret to nobody."""
    return PrivateKey(ec.derive_private_key(0x5EED + number, ec.SECP256R1()))
