"""What oras loads on the chance that it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PRELUDE = "import sys; import airgap_shared.stores.registry as registry, jsonschema; "


def _told(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _own_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))


def test_a_registry_client_does_not_load_the_checks_of_schemas() -> None:
    assert _told("print('jsonschema.validators' in sys.modules)") == "False"


def test_they_are_there_when_they_are_used() -> None:
    used = "jsonschema.validate({'a': 1}, {'required': ['a']}); import jsonschema.exceptions as e; "
    refused = (
        "\ntry: jsonschema.validate({}, {'required': ['a']})"
        "\nexcept e.ValidationError as problem: print(problem.message)"
    )
    assert _told(used + refused) == "'a' is a required property"


def test_what_is_loaded_already_stays_what_it_is() -> None:
    program = (
        "from airgap_shared.stores.deferral import defer; import json; "
        "defer('json'); print(sys.modules['json'] is json)"
    )
    assert _told(program) == "True"


def test_what_does_not_exist_is_still_missing() -> None:
    program = (
        "from airgap_shared.stores.deferral import defer; defer('no_such_module')"
        "\ntry: import no_such_module"
        "\nexcept ModuleNotFoundError: print('missing')"
    )
    assert _told(program) == "missing"
