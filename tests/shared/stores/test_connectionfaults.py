from __future__ import annotations

import errno
import ssl

import pytest

from airgap_shared.errors import (
    AirgapError,
    PlainHttpRefused,
    RegistryTimeout,
    RegistryUnavailable,
    TLSVerifyFailed,
)
from airgap_shared.stores.connectionfaults import translate
from airgap_shared.stores.exchange import Request
from airgap_shared.stores.retrying import Transient

REQUEST = Request("GET", "https://reg.example/v2/?token=s3cret", "reg.example", (200,))


def tls(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] text")
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("cause", "kind", "passes"),
    [
        (tls("WRONG_VERSION_NUMBER"), PlainHttpRefused, False),
        (tls("RECORD_LAYER_FAILURE"), PlainHttpRefused, False),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), TLSVerifyFailed, False),
        (tls("UNSUPPORTED_PROTOCOL"), TLSVerifyFailed, False),
        (tls(None), RegistryUnavailable, True),
        (ssl.SSLEOFError(8, "EOF occurred"), RegistryUnavailable, True),
        (TimeoutError(), RegistryTimeout, True),
        (
            ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
            RegistryUnavailable,
            True,
        ),
        (ValueError("https://user:s3cret@host"), RegistryUnavailable, True),
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_cause_at_the_bottom_decides(
    cause: Exception, kind: type[AirgapError], passes: bool, depth: int
) -> None:
    for _ in range(depth):
        cause = RuntimeError(cause)
    found = translate(cause, REQUEST)
    assert isinstance(found, Transient) == passes
    error = found.error if isinstance(found, Transient) else found
    assert type(error) is kind
    assert error.where == "reg.example"
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    "cause", [tls("WRONG_VERSION_NUMBER"), ssl.SSLCertVerificationError(1, "text")]
)
def test_what_a_run_has_changed_is_left_to_say(cause: Exception) -> None:
    error = translate(cause, REQUEST)
    assert isinstance(error, AirgapError)
    assert error.what.endswith("; nothing was sent there")
    error.explain(changed="the tags set are a and b")
    assert error.changed == "the tags set are a and b"


def test_a_circle_of_causes_is_survived() -> None:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__context__, two.__context__ = two, one
    assert isinstance(translate(one, REQUEST), Transient)
