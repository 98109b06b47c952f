"""The API of ECR as a hostile or broken server answers it; moto's answers are tried elsewhere."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import AirgapError, AuthFailed, Denied, RateLimited, RegistryRejected
from airgap_shared.stores.apiclient import ApiClient
from airgap_shared.stores.awssignature import AwsKeys
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.ecrapi import EcrApi, EcrSettings
from airgap_shared.stores.ecrname import EcrRegistry
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.settings import Patience
from support.clients import FakeClock

KEYS = AwsKeys("AKIAEXAMPLE", "c4nary-secret-key", "c4nary-session-token")
REGISTRY = EcrRegistry("123456789012", "eu-central-1", "api.ecr.eu-central-1.amazonaws.com")


@dataclass
class Body:
    data: bytes

    def read(self, size: int) -> bytes:
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    def close(self) -> None: ...


@dataclass
class Server:
    """Answers every call the same, and keeps what was asked."""

    status: int
    body: bytes

    def __post_init__(self) -> None:
        self.asked: list[tuple[Request, str | None]] = []
        self.clock = FakeClock()

    def send(self, request: Request, authorization: str | None) -> Answer:
        self.asked.append((request, authorization))
        return Answer(self.status, {}, (), request.url, Body(self.body))

    @property
    def api(self) -> EcrApi:
        patience = Patience(attempts=3, backoff_base=2, timing=self.clock.timing())
        url = f"https://{REGISTRY.api_host}"
        return EcrApi(ApiClient(url, self.send, Redactor(), patience), REGISTRY, KEYS)


def serve(document: object, status: int = 200) -> Server:
    return Server(status, json.dumps(document).encode())


def token(text: str) -> object:
    encoded = base64.b64encode(text.encode()).decode()
    return {"authorizationData": [{"authorizationToken": encoded, "expiresAt": 1.7e9}]}


def test_a_token_is_a_user_and_a_password() -> None:
    server = serve(token("AWS:pass:word"))
    found = server.api.authorization_token()
    assert found == Credential("AWS", "pass:word")
    assert found.renewable
    ((request, authorization),) = server.asked
    assert request.url == f"https://{REGISTRY.api_host}/"
    assert authorization is not None
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/19700112/eu-central-1")
    assert KEYS.secret not in authorization


def test_repositories_are_made_in_the_account_of_the_registry() -> None:
    server = serve({"repository": {}})
    assert server.api.create_repository("shop/web", EcrSettings(scan_on_push=True))
    body = server.asked[0][0].body
    assert isinstance(body, bytes)
    assert json.loads(body) == {
        "repositoryName": "shop/web",
        "registryId": "123456789012",
        "imageScanningConfiguration": {"scanOnPush": True},
    }


def test_what_is_there_is_not_made() -> None:
    service = "com.amazonaws.ecr#"
    exists = serve({"__type": f"{service}RepositoryAlreadyExistsException"}, 400)
    assert not exists.api.create_repository("a1", EcrSettings())
    missing = serve({"__type": "RepositoryNotFoundException"}, 400)
    assert not missing.api.has_repository("a1")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("AccessDeniedException", Denied),
        ("ExpiredTokenException", AuthFailed),
        ("InvalidSignatureException", AuthFailed),
        ("KmsException", RegistryRejected),
        ("InvalidParameterException", RegistryRejected),
    ],
)
@pytest.mark.parametrize("status", [400, 403])
def test_refusals_are_told_apart(kind: str, error: type[AirgapError], status: int) -> None:
    echo = f"no: {KEYS.secret} {KEYS.session_token}\x1b[2J"
    server = serve({"__type": kind, "message": echo}, status)
    with pytest.raises(error, match=kind) as caught:
        server.api.create_repository("a1", EcrSettings())
    assert type(caught.value) is error
    assert len(server.asked) == 1
    shown = repr(caught.value.__dict__)
    assert "c4nary" not in shown
    assert "\x1b" not in shown


def test_throttling_ends_some_time() -> None:
    server = serve({"__type": "ThrottlingException", "message": "Rate exceeded"}, 400)
    with pytest.raises(RateLimited):
        server.api.authorization_token()
    assert len(server.asked) == 3
    # Each try is signed for its own moment.
    assert len({authorization for _, authorization in server.asked}) == 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["authorizationData", "authorizationToken", "__type", "message"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from([200, 302, 400, 401, 403, 404]), _JSON.map(json.dumps) | st.text())
def test_any_answer_gives_a_token_or_an_error_of_ours(status: int, body: str) -> None:
    server = Server(status, body.encode(errors="surrogateescape"))
    try:
        found = server.api.authorization_token()
    except AirgapError as problem:
        assert "c4nary" not in repr(problem.__dict__)
    else:
        assert found.username
        assert found.password
