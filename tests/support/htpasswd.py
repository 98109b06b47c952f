"""Password files for docker-registry, which takes bcrypt and nothing else."""

from __future__ import annotations

import ctypes
import ctypes.util
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SALT_LETTERS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#: The cheapest cost that bcrypt allows: every request of a test is checked against it.
_COST = 4


def write_htpasswd(path: Path, users: Mapping[str, str]) -> None:
    """Write one ``user:hash`` line a user.

    Raises:
        RuntimeError: neither the C library's crypt nor htpasswd can do bcrypt.

    """
    lines = (f"{user}:{_bcrypt(password)}\n" for user, password in users.items())
    path.write_text("".join(lines), encoding="utf-8")


def _bcrypt(password: str) -> str:
    return _by_libcrypt(password) or _by_htpasswd(password)


def _by_libcrypt(password: str) -> str | None:
    """The hash by the C library; Python's own crypt module is gone in 3.13."""
    name = ctypes.util.find_library("crypt")
    if name is None:
        return None
    crypt = ctypes.CDLL(name).crypt
    crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    crypt.restype = ctypes.c_char_p
    # 22 letters carry 132 bits, the salt has 128: the last letter has four values.
    salt = "".join(secrets.choice(_SALT_LETTERS) for _ in range(21)) + secrets.choice(".Oeu")
    found: bytes | None = crypt(password.encode(), f"$2b${_COST:02}${salt}".encode())
    if found is None or not found.startswith(b"$2b$"):
        return None
    return found.decode()


def _by_htpasswd(password: str) -> str:
    program = shutil.which("htpasswd")
    if program is None:
        raise RuntimeError("no bcrypt here: install apache2-utils (htpasswd) or libcrypt1")
    line = subprocess.run(
        [program, "-niBC", str(_COST), "user"],
        input=password,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return line.strip().removeprefix("user:")
