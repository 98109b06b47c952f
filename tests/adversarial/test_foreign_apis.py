"""Group F, further APIs: who is shown the keys and tokens that make repositories, and who not."""

from __future__ import annotations

import base64

import pytest

from adversarial.conftest import Haste
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Echo, Rule
from support.gate import Gate

_USER, _PASSWORD = "admin", "canary/pw+\"q'<&é 7?x=1"
_KEY, _SESSION, _OAUTH = "canary+aws/key=", "canary-session-token==", "canary-oauth-token"
_FORMS = ("text", "json")
_CREATE = "--create-repositories"
_PRETENCES = {
    "ecr": 'Basic realm="https://127.0.0.1/",service="ecr.amazonaws.com"',
    "quay": 'Bearer realm="{url}/v2/auth",service="127.0.0.1"',
    "harbor": 'Bearer realm="{url}/service/token",service="harbor-registry"',
}

#: The first question shows the scheme; the project is missing.
_HARBOR = (
    Rule(Answer(401, {"WWW-Authenticate": 'Basic realm="harbor"'}), "GET", "^/v2/$"),
    Rule(Answer(200), "GET", "^/v2/$", times=None),
    Rule(Answer(404), "HEAD", "^/api/", times=None),
    Rule(Answer(401, {"WWW-Authenticate": ""}), path="^/v2/.", times=None),
)


@pytest.fixture
def aws(make_proxy: MakeProxy, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """Where the API of ECR would be; an environment full of keys and tokens."""
    proxy = make_proxy(gate.registry.host)
    variables = {
        "AWS_ENDPOINT_URL_ECR": proxy.url,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": _KEY,
        "AWS_SESSION_TOKEN": _SESSION,
        "AIRGAP_QUAY_TOKEN": _OAUTH,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return proxy


def _add(proxy: FaultProxy, *rules: Rule) -> None:
    for rule in rules:
        proxy.add(rule)


def _seen(*proxies: FaultProxy) -> str:
    """Everything that arrived."""
    return repr([one for proxy in proxies for one in proxy.requests()])


class TestF14:
    @pytest.mark.parametrize("kind", _PRETENCES)
    def test_f14_a_registry_that_calls_itself_another_gets_nothing(
        self, gate: Gate, aws: FaultProxy, kind: str
    ) -> None:
        challenge = _PRETENCES[kind].format(url=gate.proxy.url)
        gate.proxy.add(Rule(Answer(401, {"WWW-Authenticate": challenge}), times=None))
        gate.sends_nothing(21, "AuthFailed")
        assert aws.requests() == []
        assert "canary" not in _seen(gate.proxy)

    def test_f14_not_even_where_creating_was_asked_for(self, gate: Gate, aws: FaultProxy) -> None:
        challenge = {"WWW-Authenticate": _PRETENCES["ecr"]}
        gate.proxy.add(Rule(Answer(401, challenge), times=None))
        gate.fails(21, "AuthFailed", run=lambda: gate.apply(_CREATE))
        assert aws.requests() == []
        assert "canary" not in _seen(gate.proxy)


class TestF15:
    @pytest.fixture
    def harbor(self, gate: Gate, haste: Haste, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
        """A Harbor without the project, and a user whom it knows."""
        assert haste is not None
        monkeypatch.setenv("AIRGAP_REGISTRY_USERNAME", _USER)
        monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", _PASSWORD)
        return gate.proxy

    @pytest.mark.parametrize("form", _FORMS)
    @pytest.mark.parametrize("status", [400, 401, 403, 500])
    def test_f15_an_api_that_echoes_is_redacted(
        self, gate: Gate, harbor: FaultProxy, status: int, form: str
    ) -> None:
        echo = Echo(status, b'{"errors":[{"code":"X","message":"', b'"}]}')
        _add(harbor, Rule(echo, "POST", "^/api/", times=None), *_HARBOR)
        names = ("Denied", "AuthFailed", "RegistryRejected", "RegistryUnavailable")
        done = gate.fails((20, 21, 22), *names, run=lambda: gate.apply(_CREATE, "--format", form))
        assert harbor.requests("POST", "^/api/") != []
        for secret in ("canary", base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()):
            assert secret not in done.out + done.err

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    @pytest.mark.parametrize("method", ["HEAD", "POST"])
    def test_f15_an_api_that_leads_elsewhere_is_not_followed(
        self, gate: Gate, harbor: FaultProxy, make_proxy: MakeProxy, status: int, method: str
    ) -> None:
        thief = make_proxy(gate.registry.host)
        away = Answer(status, {"Location": f"{thief.url}/api/v2.0/projects"})
        _add(harbor, Rule(away, method, "^/api/", times=None), *_HARBOR)
        gate.fails(22, "RegistryRejected", run=lambda: gate.apply(_CREATE))
        assert harbor.requests(method, "^/api/") != []
        assert thief.requests() == []
