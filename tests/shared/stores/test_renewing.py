"""Passwords that end while a client is at work: from helpers, and from users."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airgap_shared.errors import Denied, RegistryAuthError
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.credentials import CredentialSources, CredentialStore
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.registry import Registry
from support.clients import IMPATIENT, body_of
from support.credential_helper import CredentialHelper
from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import Answer, Rule
from support.kinds import table
from support.kinds.proxy import BehaviourProxy, Kind, MakeKind
from support.kinds.site import ANYWHERE, Account

OLD, NEW = Account("AWS", "old-password", ANYWHERE), Account("AWS", "new-password", ANYWHERE)
CONTENT = b"content of a blob"
DIGEST = Digest.of(CONTENT)
KINDS = pytest.mark.parametrize("kind", [table.ECR, table.ZOT, table.ACR], ids=lambda k: k.name)


@pytest.fixture
def start(make_kind: MakeKind) -> Callable[[Kind], BehaviourProxy]:
    """A registry that lets both passwords in."""

    def start(kind: Kind) -> BehaviourProxy:
        proxy = make_kind(kind)
        proxy.site.existing.add("app")
        proxy.site.accounts = [OLD, NEW]
        return proxy

    return start


def client_of(
    proxy: BehaviourProxy, home: Path, passwords: tuple[str, ...]
) -> tuple[Registry, CredentialHelper]:
    helper = CredentialHelper.install(home, proxy.host, "AWS", passwords)
    store = CredentialStore(CredentialSources(helper.environment, home))
    return Registry(Endpoint(proxy.host, plain_http=True), store, None, IMPATIENT), helper


def end_old(proxy: BehaviourProxy) -> None:
    """Let the first password, and every token, end now."""
    proxy.site.expire()
    proxy.site.expired.discard(NEW.password)
    proxy.site.accounts = [NEW]


USES: list[Callable[[Registry], object]] = [
    lambda client: client.ping(),
    lambda client: client.head_manifest("app", "1"),
    lambda client: client.get_manifest("app", "1"),
    lambda client: client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT)),
    lambda client: client.check_push("app"),
]


@KINDS
@pytest.mark.parametrize("use", USES, ids=["ping", "head", "get", "push", "check"])
def test_a_helper_is_asked_once_more_and_the_work_goes_on(
    start: Callable[[Kind], BehaviourProxy],
    kind: Kind,
    use: Callable[[Registry], object],
    tmp_path: Path,
) -> None:
    proxy = start(kind)
    client, helper = client_of(proxy, tmp_path, (OLD.password, NEW.password))
    with client:
        client.check_push("app")
        end_old(proxy)
        use(client)
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
    assert helper.asked == 2
    assert proxy.site.storage.blobs() != {}


@KINDS
@pytest.mark.parametrize("use", USES, ids=["ping", "head", "get", "push", "check"])
@pytest.mark.parametrize("second", [OLD.password, "wrong-password"], ids=["same", "wrong"])
def test_a_helper_that_knows_no_better_is_not_asked_again(
    start: Callable[[Kind], BehaviourProxy],
    kind: Kind,
    use: Callable[[Registry], object],
    second: str,
    tmp_path: Path,
) -> None:
    proxy = start(kind)
    client, helper = client_of(proxy, tmp_path, (OLD.password, second))
    with client:
        client.check_push("app")
        end_old(proxy)
        before = len(proxy.requests())
        with pytest.raises(RegistryAuthError) as caught:
            use(client)
    assert helper.asked == 2
    assert len(proxy.requests()) - before <= 6
    assert OLD.password not in str(caught.value) + repr(caught.value.__dict__)
    assert second not in str(caught.value) + repr(caught.value.__dict__)


@KINDS
def test_a_password_by_hand_fails_at_once(
    start: Callable[[Kind], BehaviourProxy], kind: Kind, tmp_path: Path
) -> None:
    proxy = start(kind)
    helper = CredentialHelper.install(tmp_path, proxy.host, "AWS", (NEW.password,))
    given = Credential(OLD.user, OLD.password)
    store = CredentialStore(CredentialSources(helper.environment, tmp_path, explicit=given))
    with Registry(Endpoint(proxy.host, plain_http=True), store, None, IMPATIENT) as client:
        client.check_push("app")
        end_old(proxy)
        with pytest.raises(RegistryAuthError):
            client.check_push("app")
    assert helper.asked == 0


def test_threads_have_one_renewal_together(
    start: Callable[[Kind], BehaviourProxy], tmp_path: Path
) -> None:
    proxy = start(table.ECR)
    client, helper = client_of(proxy, tmp_path, (OLD.password, NEW.password))
    contents = [f"content {number}".encode() for number in range(16)]

    def push(content: bytes) -> None:
        client.push_blob("app", Digest.of(content), len(content), body_of(content))

    with client, ThreadPoolExecutor(8) as pool:
        client.check_push("app")
        end_old(proxy)
        list(pool.map(push, contents))
    assert helper.asked == 2
    assert len(proxy.site.storage.blobs()) == len(contents)


def test_a_missing_right_is_no_end_of_a_password(
    start: Callable[[Kind], BehaviourProxy], tmp_path: Path
) -> None:
    proxy = start(table.ECR)
    proxy.site.accounts = [Account("AWS", OLD.password)]
    client, helper = client_of(proxy, tmp_path, (OLD.password, NEW.password))
    with client, pytest.raises(Denied, match="not authorized to perform"):
        client.check_push("app")
    assert helper.asked == 1


def test_a_project_that_is_missing_is_no_wrong_password(
    start: Callable[[Kind], BehaviourProxy], tmp_path: Path
) -> None:
    """Harbor answers 401 without a challenge."""
    proxy = start(table.HARBOR)
    client, helper = client_of(proxy, tmp_path, (OLD.password, NEW.password))
    with client:
        client.ping()
        with pytest.raises(Denied):
            client.check_push("missing/app")
    assert helper.asked == 1


def test_nor_is_it_one_by_basic_alone(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy, tmp_path: Path
) -> None:
    hidden = Rule(Answer(401, {"WWW-Authenticate": ""}), path="/v2/missing/", times=None)
    proxy = make_proxy(htpasswd_registry.host, hidden)
    helper = CredentialHelper.install(tmp_path, proxy.host, "robot", ("s3cret:word", "other"))
    store = CredentialStore(CredentialSources(helper.environment, tmp_path))
    with Registry(Endpoint(proxy.host, plain_http=True), store, None, IMPATIENT) as client:
        client.ping()
        with pytest.raises(Denied, match="no such project or repository"):
            client.check_push("missing/app")
        client.check_push("app")
    assert helper.asked == 1
