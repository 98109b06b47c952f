"""Keys that are the same on every run: what a test is named after must not change."""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from airgap_shared.trust.privatekey import PrivateKey

#: 1,536 bits each, and of no use to anybody but these tests.
_P = int(
    "ee9dfdc8c13011fff2184fb79dccd3e21e06f1bbe446bcea764435dd8614c01383886a6e0b5ce711"
    "1f6a04e5dc2ec6b3b55815405bac3bcc95b705d296e65038b1807984347dbe13ef8391cd502cbb6a"
    "0ff41262cfa1c6e1dc50883acb1cbc8a07b5cd9cd312e5c5f0d2fc58a16b585701fbd91008f2e110"
    "9b96e2c3228f44e4b8dfe4302a6c9eb34bedf413744f077c8df5b6b732b51365989225cfeb99d45b"
    "1c037a9b8a65701619f2af8df9a62b443c0c02fbdeed8bb54984695be358f2f3",
    16,
)
_Q = int(
    "e86d9cd67175cb0d811511013fe9b889299f48e2efb7889f9a28e24c669d8f11bcb2ac1a1f11f2a3"
    "90734b6504004c554e88e4b8bc7942b991451cb8afc8d82b9d16f91f9ffc6b5cdc7d4246b7cfb7b7"
    "affce6c53960c598f71de511908f1ab9548787c436a4d5d8c4c04ca24d659bb14560db75ab0735d9"
    "223a1f27d8f968cf968085c47505b0c23b7e1a8d4450584aaf560eb0ef07ccbf25ea1be5ccdcd6e4"
    "fc2d19bac57802551713625064181b50c80fa1d16b4cc2ff61d1c9f4f472d5e5",
    16,
)


def fixed_key(number: int) -> PrivateKey:
    """The key with this secret number; a secret to nobody."""
    return PrivateKey(ec.derive_private_key(0x5EED + number, ec.SECP256R1()))


@functools.cache
def fixed_rsa_key() -> PrivateKey:
    """An RSA key of 3,072 bits, whose making takes no time."""
    exponent, modulus = 65537, _P * _Q
    secret = pow(exponent, -1, (_P - 1) * (_Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        *(_P, _Q, secret, rsa.rsa_crt_dmp1(secret, _P), rsa.rsa_crt_dmq1(secret, _Q)),
        rsa.rsa_crt_iqmp(_P, _Q),
        rsa.RSAPublicNumbers(exponent, modulus),
    )
    return PrivateKey(numbers.private_key())
