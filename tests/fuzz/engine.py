"""The fuzzer's process: one target under atheris, until libFuzzer ends it. Started by run.py.

The only place that knows atheris, which exists for Linux and some versions of CPython.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / name) for name in ("shared", "bundler", "importer", "tests")]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["airgap_shared", "airgap_importer"]):
    from fuzz.target import Mutate, try_out
    from fuzz.targets import load_target

    _TARGET = load_target(sys.argv[1])
    _FOUND = Path(sys.argv[2])


def _feed(data: bytes) -> None:
    try:
        try_out(_TARGET, data)
    except Exception:
        # libFuzzer does so, too, but its own alarm sometimes ends the process before.
        (_FOUND / hashlib.sha1(data).hexdigest()).write_bytes(data)  # noqa: S324
        raise


def _mutator(mutate: Mutate) -> Callable[[bytes, int, int], bytes]:
    def change(data: bytes, most: int, seed: int) -> bytes:
        def garble(given: bytes) -> bytes:
            return bytes(atheris.Mutate(given, most))

        return mutate(bytes(data), Random(seed), garble)[:most]  # noqa: S311 - libFuzzer's seed

    return change


if __name__ == "__main__":
    arguments = [sys.argv[0], *sys.argv[3:]]
    if _TARGET.mutate is None:
        atheris.Setup(arguments, _feed)
    else:
        atheris.Setup(arguments, _feed, custom_mutator=_mutator(_TARGET.mutate))
    atheris.Fuzz()
