"""The cluster learns the names of pull secrets, and nothing that is secret."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
import yaml

from support.docker_registry import DockerRegistry
from support.images import make_image
from support.journey import Journey, deployment, refused, succeeded, tree_of

_USER, _PASSWORD = "robot", "s3cret:word"
_LOGIN = ("--username", _USER, "--password-stdin")
_ACCOUNT = "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: backend}\n"


@pytest.fixture
def made(journey: Journey, htpasswd_registry: DockerRegistry) -> Journey:
    """A bundle for a registry that asks for a password."""
    journey.push("team/web:1", make_image([b"web"]))
    journey.write(deployment("web", "team/web:1") + _ACCOUNT)
    succeeded(journey.create())
    return replace(journey, target=htpasswd_registry.host)


def _references(journey: Journey) -> list[object]:
    found: list[object] = []
    for document in yaml.safe_load_all(journey.rendered()):
        pod = document
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
        found.append(pod.get("imagePullSecrets"))
    return found


def test_names_are_in_the_overlay_and_credentials_are_nowhere(made: Journey) -> None:
    password = f"{_PASSWORD}\n".encode()
    planned = succeeded(
        made.apply(*_LOGIN, "--pull-secret", "regcred", "--dry-run", stdin=password)
    )
    assert "kubectl create secret docker-registry regcred --namespace=backend" in planned.out
    assert not made.overlay.exists()
    options = (*_LOGIN, "--pull-secret", "regcred", "--mirror-config", "all")
    done = succeeded(made.apply(*options, stdin=password))
    assert _references(made) == [[{"name": "regcred"}]] * 2
    commands = [line.strip() for line in done.out.splitlines() if "kubectl create secret" in line]
    server = f"--docker-server={made.target}"
    end = f"{server} --docker-username=USER --docker-password=PASSWORD"
    assert commands == [
        f"kubectl create secret docker-registry regcred {end}",
        f"kubectl create secret docker-registry regcred --namespace=backend {end}",
    ]
    coverage = json.loads((made.overlay / ".airgap" / "coverage.json").read_text())
    assert coverage["pullSecrets"]["namespaces"] == ["", "backend"]

    secrets = (_PASSWORD, base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode())
    texts = [content for content in tree_of(made.overlay).values() if content is not None]
    for secret in secrets:
        assert secret not in done.out + done.err
        assert not any(secret.encode() in text for text in texts)

    # The flag is not remembered.
    succeeded(made.apply(*_LOGIN, stdin=password))
    assert _references(made) == [None, None]
    assert "pullSecrets" not in (made.overlay / ".airgap" / "coverage.json").read_text()


@pytest.mark.parametrize("name", [f"{_USER}:{_PASSWORD}", "../x", "a\n- op: remove"])
def test_what_is_no_name_is_refused_before_anything_is_asked(made: Journey, name: str) -> None:
    done = refused(made.apply("--pull-secret", name), 2, "UsageError")
    assert _PASSWORD not in done.out + done.err
    assert not made.overlay.exists()
