"""What is missing in a registry: made where that is asked for, else told in one message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from support.commands import Finished
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Examine, Meanwhile, Rule
from support.journey import refused, succeeded
from support.kinds import apis
from support.kinds.rows import ROWS, Column, Row
from support.kinds.site import ANYWHERE, Account
from support.kinds.stage import MakeStage, Release, Stage, column, rows
from support.moto_server import PASSWORD, REGION, MotoRepositories, MotoServer
from support.tls import Certificate

CREATE = "--create-repositories"
OAUTH, KEY_SECRET, SESSION = "oauth-c4nary-token", "c4nary/key+secret=", "c4nary-session-token=="
SECRETS = (OAUTH, KEY_SECRET, SESSION, PASSWORD, "s3cret:word")
_ROWS = {row.id: row for row in ROWS}
#: For each row what is missing at first, given a stage.
_PLACES: dict[str, Callable[[Stage, list[str]], list[str]]] = {
    "harbor": lambda stage, _: [f"project {stage.namespace.partition('/')[0]}"],
    "quay": lambda stage, names: [
        f"organization {stage.namespace}",
        *(f"repository {stage.namespace}/{name}" for name in names),
    ],
    "ecr": lambda stage, names: [f"repository {stage.namespace}/{name}" for name in names],
}


@pytest.fixture(scope="module")
def moto_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with MotoServer(tmp_path_factory.mktemp("moto")) as moto:
        yield moto


@pytest.fixture
def moto(moto_process: MotoServer) -> MotoServer:
    """ECR's API, without any repository."""
    moto_process.reset()
    return moto_process


@pytest.fixture
def api(moto: MotoServer, make_proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """The same behind a proxy that records, in an environment that leads to it."""
    proxy = make_proxy(moto.host)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", proxy.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY_SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    monkeypatch.setenv("AWS_REGION", REGION)
    return proxy


@pytest.fixture
def prepare(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[Row], Stage]:
    """A registry in which nothing was made, and an account that may make it."""

    def prepare(row: Row) -> Stage:
        stage = make_stage(row)
        site = stage.behaviour.site
        site.existing = set()
        if row.id == "ecr":
            request.getfixturevalue("api")
            site.existing = MotoRepositories(request.getfixturevalue("moto"))
            site.accounts = [Account("AWS", PASSWORD, ANYWHERE)]
            stage.account = None
            stage.options = ("--registry-type", "ecr")
        elif row.id == "quay":
            monkeypatch.setenv("AIRGAP_QUAY_TOKEN", OAUTH)
            site.may_create = {OAUTH}
        else:
            assert row.pusher is not None
            site.may_create = {row.pusher.user}
        return stage

    return prepare


def names_of(release: Release) -> list[str]:
    return [*release.names, "airgap-receipts"]


def assert_no_secret(stage: Stage, done: Finished) -> None:
    """No secret in what is printed, nor in any file that the command left."""
    texts = [done.out, done.err]
    texts += [
        path.read_text(errors="replace")
        for path in stage.folder.parent.rglob("*.json*")
        if path.is_file() and path.name != "auth.json" and "backends" not in str(path)
    ]
    texts += [
        path.read_text(errors="replace")
        for path in (stage.folder / "deploy").rglob("*")
        if path.is_file()
    ]
    found = [secret for secret in SECRETS for text in texts if secret in text]
    assert found == []


def audit_of(stage: Stage) -> list[dict[str, object]]:
    logs = sorted(stage.folder.parent.rglob("audit.jsonl"))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


CREATING = pytest.mark.parametrize("row", [_ROWS[name] for name in _PLACES], ids=list(_PLACES))


@column(Column.CREATION)
@CREATING
def test_what_is_missing_is_made_and_told(
    prepare: Callable[[Row], Stage], first: Release, second: Release, row: Row
) -> None:
    stage = prepare(row)
    places = _PLACES[row.id](stage, names_of(first))

    done = succeeded(stage.apply(first, CREATE, "--format", "json"))

    assert stage.content() == first.content()
    assert sorted(json.loads(done.out)["created"]) == sorted(places)
    for place in places:
        assert f"created the {place} in {stage.host}" in done.err
    assert "warning" not in done.err
    receipt = json.loads((stage.folder / "deploy/.airgap/receipt.json").read_text())
    assert sorted(receipt["created"]) == sorted(places)
    told = audit_of(stage)[-1]["created"]
    assert isinstance(told, list)
    assert sorted(told) == sorted(places)
    assert_no_secret(stage, done)

    again = succeeded(stage.apply(first, CREATE, "--format", "json"))
    assert json.loads(again.out)["created"] == []
    assert "created the" not in again.err
    succeeded(stage.apply(second, CREATE))


@CREATING
def test_without_the_flag_one_message_has_all_of_it(
    prepare: Callable[[Row], Stage], first: Release, row: Row
) -> None:
    stage = prepare(row)
    before = set(stage.behaviour.site.existing)

    done = stage.apply(first)

    if row.id == "quay":
        # Without the flag no token is shown to what calls itself Quay: it looks like a refusal.
        refused(done, 21, "Denied")
    else:
        refused(done, 22, "RepositoryMissing")
        for place in _PLACES[row.id](stage, names_of(first)):
            assert place in done.err
        request = {"ecr": "aws ecr create-repository", "harbor": "/api/v2.0/projects"}[row.id]
        assert request in done.err
        assert CREATE in done.err
    assert "nothing was changed" in done.err
    assert stage.is_untouched()
    assert set(stage.behaviour.site.existing) == before
    assert_no_secret(stage, done)


@column(Column.CREATION)
@rows(lambda row: row.id in ("gar", "artifactory", "nexus"))
def test_what_this_tool_cannot_make_is_asked_for(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row)
    stage.behaviour.site.existing = set()
    for options in ((), (CREATE,)):
        done = refused(stage.apply(first, *options), 22, "RepositoryMissing")
        wanted = row.to_make(stage.namespace, first.names)
        for name in wanted:
            assert name.rpartition("/")[2] in done.err
        assert "create" in done.err or "-X" in done.err
        assert "administrator" in done.err
        assert stage.is_untouched()


@CREATING
def test_a_dry_run_makes_nothing_and_lists_it(
    prepare: Callable[[Row], Stage], first: Release, row: Row
) -> None:
    stage = prepare(row)
    done = succeeded(stage.apply(first, CREATE, "--dry-run", "--format", "json"))
    assert sorted(json.loads(done.out)["missing"]) == sorted(
        _PLACES[row.id](stage, names_of(first))
    )
    # Sessions that are opened and closed tell what may be pushed to.
    assert {one.method for one in stage.writes()} <= {"POST", "DELETE"}
    assert stage.is_untouched()
    assert [one for one in stage.proxy.mutations() if one.path.startswith("/api")] == []
    assert (
        f"has to be created: {_PLACES[row.id](stage, names_of(first))[0]}"
        in succeeded(stage.apply(first, CREATE, "--dry-run")).out
    )


@pytest.mark.parametrize("row", [_ROWS["harbor"], _ROWS["quay"]], ids=["harbor", "quay"])
def test_whoever_may_not_create_is_told_what_to_ask_for(
    prepare: Callable[[Row], Stage], first: Release, row: Row
) -> None:
    stage = prepare(row)
    site = stage.behaviour.site
    site.may_ask, site.may_create = site.may_create, set()

    done = refused(stage.apply(first, CREATE), 21, "Denied")

    assert "cannot be created" in done.err
    for place in _PLACES[row.id](stage, names_of(first)):
        assert place in done.err
    assert "nothing was changed" in done.err
    assert stage.is_untouched()
    assert site.existing == set()
    assert_no_secret(stage, done)


@pytest.mark.parametrize("row", [_ROWS["harbor"], _ROWS["quay"]], ids=["harbor", "quay"])
def test_a_place_that_appears_meanwhile_is_fine(
    prepare: Callable[[Row], Stage], first: Release, row: Row
) -> None:
    stage = prepare(row)
    project = stage.namespace.partition("/")[0]

    def appear(_raw: bytes) -> Answer:
        stage.behaviour.site.existing.add(project)
        if row.id == "harbor":
            return Answer(409)
        return apis.quay_error(
            400, "invalid_request", "A user or organization with this name already exists"
        )

    stage.proxy.add(Rule(Examine(appear), "POST", "/api/"))
    done = succeeded(stage.apply(first, CREATE))
    assert f" {project} in" not in done.err
    assert stage.content() == first.content()


_NO_PLACE = "warning: the target has no place for receipts"


@pytest.mark.parametrize("row", [_ROWS["harbor"], _ROWS["quay"]], ids=["harbor", "quay"])
def test_no_project_is_made_for_receipts_alone(
    prepare: Callable[[Row], Stage], first: Release, row: Row
) -> None:
    """Without a namespace, the name of the repository for receipts would be one of a project."""
    stage = prepare(row)
    stage.namespace, stage.options = "", (*stage.options, "--naming", "path")

    planned = succeeded(stage.apply(first, CREATE, "--dry-run", "--format", "json"))
    done = succeeded(stage.apply(first, CREATE, "--format", "json"))

    made = json.loads(done.out)["created"]
    assert sorted(json.loads(planned.out)["missing"]) == sorted(made)
    assert {"docker.io", "ghcr.io"} <= stage.behaviour.site.existing
    assert "airgap-receipts" not in " ".join([*made, *stage.behaviour.site.existing])
    for one in (planned, done):
        assert one.err.count(_NO_PLACE) == one.err.count("warning") == 1
        assert "recognised by this host alone" in one.err
        assert "another --image-namespace" in one.err
    assert stage.proxy.requests("", "airgap-receipts") == []


@rows(lambda row: row.id in ("gar", "ghcr", "nexus", "artifactory"))
def test_where_receipts_have_no_place_none_are_looked_for(
    make_stage: MakeStage, first: Release, second: Release, row: Row
) -> None:
    stage = make_stage(row)
    project = "acme-alone" if row.id == "gar" else ""
    stage.namespace, stage.options = project, (*stage.options, "--naming", "path")
    prefix = f"{project}/" if project else ""
    stage.behaviour.site.existing |= {f"{prefix}docker.io", f"{prefix}ghcr.io"}

    for options in (("--dry-run",), (), ()):
        done = succeeded(stage.apply(second, *options))
        assert done.err.count(_NO_PLACE) == done.err.count("warning") == 1
    assert stage.proxy.requests("", "airgap-receipts") == []
    # This host remembers.
    refused(stage.apply(first), 12, "RollbackDetected")


def test_what_can_be_written_and_not_read_is_refused_first(
    make_stage: MakeStage, first: Release
) -> None:
    stage = make_stage(_ROWS["zot"])
    stage.proxy.add(Rule(Answer(403), "GET|HEAD", "/v2/zot", times=None))
    done = refused(stage.apply(first, CREATE), 21, "Denied")
    assert "nothing was changed" in done.err
    assert stage.proxy.requests("PUT") == []
    assert stage.is_untouched()


class TestECR:
    """What only ECR has: settings, signatures, tokens of twelve hours."""

    @pytest.fixture
    def stage(self, prepare: Callable[[Row], Stage]) -> Stage:
        return prepare(_ROWS["ecr"])

    def test_repositories_get_their_settings(
        self, stage: Stage, moto: MotoServer, first: Release
    ) -> None:
        key = f"arn:aws:kms:{REGION}:123456789012:key/1234abcd"
        options = ("--ecr-immutable-tags", "--ecr-scan-on-push", "--ecr-kms-key", key)
        succeeded(stage.apply(first, CREATE, *options))
        made = moto.repositories()
        for name in first.names:
            repository = made[f"{stage.namespace}/{name}"]
            assert repository["imageTagMutability"] == "IMMUTABLE"
        # The newest receipt has a tag that moves.
        receipts = made[f"{stage.namespace}/airgap-receipts"]
        assert receipts["imageTagMutability"] == "MUTABLE"
        for one in made.values():
            assert one["imageScanningConfiguration"] == {"scanOnPush": True}
            assert one["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}

    def test_exactly_what_is_missing_is_made(
        self, stage: Stage, moto: MotoServer, api: FaultProxy, first: Release
    ) -> None:
        there = f"{stage.namespace}/{next(iter(first.names))}"
        moto.create(there)
        done = succeeded(stage.apply(first, CREATE, "--format", "json"))
        created = json.loads(done.out)["created"]
        assert f"repository {there}" not in created
        assert len(created) == len(names_of(first)) - 1
        signed = [one.headers["authorization"] for one in api.requests("POST")]
        assert all(f"/{REGION}/ecr/aws4_request" in one for one in signed)
        assert all(one.headers["x-amz-security-token"] == SESSION for one in api.requests("POST"))

    def test_the_keys_go_to_the_api_and_to_nobody_else(
        self, stage: Stage, api: FaultProxy, first: Release
    ) -> None:
        succeeded(stage.apply(first, CREATE))
        assert api.requests("POST") != []
        for one in (*api.requests(), *stage.proxy.requests()):
            assert KEY_SECRET not in repr(one)
        assert all(SESSION not in repr(one) for one in stage.proxy.requests())

    def test_a_repository_that_appears_meanwhile_is_fine(
        self, stage: Stage, moto: MotoServer, api: FaultProxy, first: Release
    ) -> None:
        name = f"{stage.namespace}/{next(iter(first.names))}"
        begun: list[bool] = []

        def appear() -> None:
            if not begun:
                begun.append(True)
                moto.create(name)

        # The first call is for a token; repositories are made after that.
        api.add(Rule(Meanwhile(appear), "POST", first=2))
        done = succeeded(stage.apply(first, CREATE, "--format", "json"))
        assert f"repository {name}" not in json.loads(done.out)["created"]
        assert stage.content() == first.content()

    def test_keys_without_the_right_are_told_what_to_ask_for(
        self, stage: Stage, api: FaultProxy, first: Release
    ) -> None:
        denied = _aws_error("AccessDeniedException", f"not authorized; {KEY_SECRET} {SESSION}")
        api.add(Rule(denied, "POST", first=2, times=None))
        done = refused(stage.apply(first, CREATE), 21, "Denied")
        for name in names_of(first):
            assert f"--repository-name {stage.namespace}/{name}" in done.err
        assert "ecr:CreateRepository" in done.err
        assert "nothing was changed" in done.err
        assert stage.is_untouched()
        assert_no_secret(stage, done)

    def test_what_was_made_before_a_failure_is_told(
        self, stage: Stage, moto: MotoServer, api: FaultProxy, first: Release
    ) -> None:
        full = _aws_error("LimitExceededException", "too many repositories")
        api.add(Rule(full, "POST", first=3, times=None))
        done = refused(stage.apply(first, CREATE), 22, "RegistryRejected")
        (made,) = moto.repositories()
        assert f"created: repository {made}; nothing else was changed" in done.err
        told = audit_of(stage)[-1]
        assert (told["ev"], told["created"]) == ("stopped", [f"repository {made}"])
        api.clear()
        succeeded(stage.apply(first, CREATE))
        assert stage.content() == first.content()

    @pytest.mark.parametrize(
        "kind",
        ["UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"],
    )
    def test_keys_that_are_not_accepted_end_it_at_once(
        self, stage: Stage, api: FaultProxy, first: Release, kind: str
    ) -> None:
        api.add(Rule(_aws_error(kind, f"The token {SESSION} is bad"), "POST", times=None))
        done = refused(stage.apply(first, CREATE), 21, "AuthFailed")
        assert kind in done.err
        assert len(api.requests()) == 1
        assert_no_secret(stage, done)

    def test_throttling_is_waited_for(self, stage: Stage, api: FaultProxy, first: Release) -> None:
        api.add(Rule(_aws_error("ThrottlingException", "Rate exceeded"), "POST", times=1))
        succeeded(stage.apply(first, CREATE))

    def test_a_token_that_ends_is_had_anew(
        self, stage: Stage, api: FaultProxy, moto: MotoServer, first: Release
    ) -> None:
        site = stage.behaviour.site

        def end() -> None:
            site.expired.add(PASSWORD)
            site.accounts = [Account("AWS", "the-next-token", ANYWHERE)]

        stage.proxy.add(Rule(Meanwhile(end), "PUT", "/blobs/uploads/"))
        # moto's token is always the same; the second one is another.
        token = "QVdTOnRoZS1uZXh0LXRva2Vu"
        fresh = {"authorizationData": [{"authorizationToken": token, "expiresAt": 1}]}
        api.add(Rule(_aws_answer(200, fresh), "POST", first=2 + len(names_of(first)), times=None))
        succeeded(stage.apply(first, CREATE))
        assert stage.content() == first.content()

    def test_without_keys_the_helper_is_named(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, first: Release
    ) -> None:
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        done = refused(stage.apply(first, CREATE), 21, "AuthFailed")
        assert "docker-credential-ecr-login" in done.err
        assert "AWS_ACCESS_KEY_ID" in done.err
        assert stage.proxy.requests("POST") == []

    def test_a_password_by_hand_comes_first(
        self, stage: Stage, api: FaultProxy, moto: MotoServer, first: Release
    ) -> None:
        for name in names_of(first):
            moto.create(f"{stage.namespace}/{name}")
        given = Account("AWS", "given-by-hand", ANYWHERE)
        stage.behaviour.site.accounts, stage.account = [given], given
        succeeded(stage.apply(first))
        assert api.requests() == []

    def test_a_registry_that_calls_itself_ecr_gets_no_token(
        self, stage: Stage, api: FaultProxy, first: Release
    ) -> None:
        stage.options = ()
        refused(stage.apply(first, CREATE), 21, "AuthFailed")
        assert api.requests() == []
        assert "authorization" not in repr(stage.proxy.requests())

    def test_the_api_is_trusted_as_the_user_says(
        self,
        stage: Stage,
        moto: MotoServer,
        servers: ExitStack,
        certificate: Certificate,
        monkeypatch: pytest.MonkeyPatch,
        first: Release,
    ) -> None:
        proxy = servers.enter_context(FaultProxy(moto.host, tls=certificate))
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", proxy.url)
        refused(stage.apply(first, CREATE), 25, "TLSVerifyFailed")
        assert proxy.requests() == []
        succeeded(stage.apply(first, CREATE, "--ca-file", str(certificate.ca)))
        assert proxy.requests("POST") != []

    def test_plain_http_leads_nowhere_but_to_this_machine(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, first: Release
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", "http://ecr.bank.example")
        refused(stage.apply(first, CREATE), 25, "PlainHttpRefused")


class TestQuay:
    def test_without_a_token_the_variable_is_named(
        self, prepare: Callable[[Row], Stage], monkeypatch: pytest.MonkeyPatch, first: Release
    ) -> None:
        stage = prepare(_ROWS["quay"])
        monkeypatch.delenv("AIRGAP_QUAY_TOKEN")
        done = refused(stage.apply(first, CREATE), 21, "Denied")
        assert "AIRGAP_QUAY_TOKEN" in done.err
        assert f"organization {stage.namespace}: curl" in done.err
        assert stage.is_untouched()

    def test_a_token_that_no_header_carries_is_told_and_not_shown(
        self, prepare: Callable[[Row], Stage], monkeypatch: pytest.MonkeyPatch, first: Release
    ) -> None:
        stage = prepare(_ROWS["quay"])
        monkeypatch.setenv("AIRGAP_QUAY_TOKEN", "canary\n")
        done = refused(stage.apply(first, CREATE), 2, "CredentialsInvalid")
        assert "AIRGAP_QUAY_TOKEN" in done.err
        assert "canary" not in done.err
        assert stage.is_untouched()

    def test_a_robot_without_rights_in_a_new_repository_is_told(
        self, prepare: Callable[[Row], Stage], first: Release
    ) -> None:
        stage = prepare(_ROWS["quay"])
        stage.behaviour.site.accounts = [
            replace(account, push="") for account in stage.behaviour.site.accounts
        ]
        done = refused(stage.apply(first, CREATE), 21, "Denied")
        assert f"created: organization {stage.namespace}" in done.err
        assert stage.is_untouched()


def test_a_redirect_of_an_api_is_not_followed(
    prepare: Callable[[Row], Stage], first: Release, make_proxy: MakeProxy
) -> None:
    stage = prepare(_ROWS["harbor"])
    thief = make_proxy(stage.host)
    stage.proxy.add(
        Rule(Answer(307, {"Location": f"{thief.url}/api/v2.0/projects"}), "POST", "/api/")
    )
    refused(stage.apply(first, CREATE), 22, "RegistryRejected")
    assert thief.requests() == []


def _aws_answer(status: int, document: object) -> Answer:
    kind = {"Content-Type": "application/x-amz-json-1.1"}
    return Answer(status, kind, json.dumps(document).encode())


def _aws_error(kind: str, message: str) -> Answer:
    return _aws_answer(400, {"__type": kind, "message": message})
