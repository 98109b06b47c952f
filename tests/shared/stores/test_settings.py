from __future__ import annotations

import subprocess
import sys

import pytest

import airgap_shared
from airgap_shared.stores.settings import ClientSettings


@pytest.mark.parametrize("module", ["settings", "endpoint", "credentials", "authfile", "tls"])
def test_what_commands_need_to_read_their_flags_is_light(module: str) -> None:
    """The HTTP libraries take longer to load than --help may take."""
    root = airgap_shared.__path__[0].removesuffix("airgap_shared")
    program = (
        f"import sys; sys.path.insert(0, {root!r}); import airgap_shared.stores.{module};"
        "print([name for name in ('requests', 'oras', 'urllib3') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_reading_is_what_a_client_does_unless_told_to_write() -> None:
    settings = ClientSettings()
    assert not settings.writes
    assert settings.user_agent == f"airgap-bundle/{airgap_shared.__version__}"
