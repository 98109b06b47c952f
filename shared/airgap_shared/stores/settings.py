"""How patient, how parallel and how trusting a registry client is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airgap_shared import __version__


@dataclass(frozen=True, slots=True)
class Timing:
    """The clocks that waiting goes by; all in seconds, and replaceable so that tests need not wait.

    ``monotonic`` measures spans, ``wall`` is the Unix time, ``fraction`` is random in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    fraction: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Patience:
    """When and for how long something is tried again; all spans in seconds.

    The pause before the n-th repetition is random between 0 and ``backoff_base * 2**(n-1)``, at
    most ``backoff_cap``. ``budget`` bounds the whole of one operation from its first fault.
    """

    attempts: int = 6
    backoff_base: float = 0.5
    backoff_cap: float = 30.0
    budget: float = 900.0
    max_retry_after: float = 300.0
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What one registry client needs to know besides the endpoint, credentials and TLS.

    ``writes`` decides which permission is asked for; ``jobs`` how many transfers run at once;
    ``token_hosts`` are further hosts that may see the credentials to issue tokens,
    ``upload_hosts`` such that may get content without them; ``proxies`` maps a URL scheme to a
    proxy URL. Spans are in seconds; ``chunk_timeout`` bounds one mebibyte of a download, and the
    waiting for the headers of an answer.
    """

    writes: bool = False
    jobs: int = 4
    connect_timeout: float = 10.0
    read_timeout: float = 90.0
    chunk_timeout: float = 120.0
    patience: Patience = field(default_factory=Patience)
    token_hosts: frozenset[str] = frozenset()
    upload_hosts: frozenset[str] = frozenset()
    proxies: Mapping[str, str] = field(default_factory=dict)
    user_agent: str = f"airgap-bundle/{__version__}"
