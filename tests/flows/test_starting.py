"""How much has to be loaded before a command answers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.journey import Journey, succeeded

_HEAVY = {
    *("oras", "requests", "urllib3", "yaml", "cryptography", "zstandard", "rich", "pydantic"),
    *("jsonschema", "httpx", "asyncio"),
}


@pytest.mark.parametrize("name", ["airgap-bundle", "airgap-import"])
@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("verify", "--help"), ("inspect", "--help")],
    ids=" ".join,
)
def test_help_needs_nothing_heavy(journey: Journey, name: str, arguments: tuple[str, ...]) -> None:
    assert _loaded(journey, name, *arguments) & _HEAVY == set()


@pytest.mark.parametrize("command", ["create", "keygen", "discover", "sign", "export-sigstore"])
def test_help_of_the_bundler_needs_nothing_heavy(journey: Journey, command: str) -> None:
    assert _loaded(journey, "airgap-bundle", command, "--help") & _HEAVY == set()


@pytest.mark.parametrize("command", ["apply", "login", "logout", "trust"])
def test_help_of_the_importer_needs_nothing_heavy(journey: Journey, command: str) -> None:
    assert _loaded(journey, "airgap-import", command, "--help") & _HEAVY == set()


@pytest.mark.parametrize("name", ["airgap-bundle", "airgap-import"])
def test_help_needs_no_content_of_images(journey: Journey, name: str) -> None:
    modules = _modules(journey, name, "--help")
    assert "airgap_shared.console.outcome" in modules
    assert not any(module.startswith("airgap_shared.oci.") for module in modules)


def test_what_counts_as_loaded_is_seen(journey: Journey) -> None:
    """The control: a command that does read YAML is seen to."""
    journey.deploy("team/app:1")
    assert "yaml" in _loaded(journey, "airgap-bundle", "discover", "app")
    succeeded(journey.shell.run("airgap-bundle", "discover", "app"))


def _loaded(journey: Journey, *command: str) -> set[str]:
    """The top-level packages that Python imports for a command."""
    return {module.partition(".")[0] for module in _modules(journey, *command)}


def _modules(journey: Journey, *command: str) -> set[str]:
    """The modules that Python imports for a command."""
    python, *arguments = journey.shell.command_line(*command)
    assert python == sys.executable
    done = subprocess.run(
        [python, "-X", "importtime", *arguments],
        cwd=journey.folder,
        env=journey.shell.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 50
    return {line.rpartition("|")[2].strip() for line in lines}
