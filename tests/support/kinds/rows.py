"""The rows of docs/registries.md: each kind of registry as somebody imports into it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from support.kinds import table
from support.kinds.proxy import Kind
from support.kinds.site import ANYWHERE, Account


class Column(enum.Enum):
    """What is tried with every kind, as the page calls it."""

    IMPORT = "import"
    AGAIN = "re-import"
    UPDATE = "update with a changed tag"
    SIGNATURES = "signatures"
    CREATION = "creation"
    PASSWORD = "wrong password"
    RIGHT = "no push right"
    EXPIRY = "token expiry mid-run"


class Server(enum.Enum):
    """The docker-registry behind: who lets people in."""

    OPEN = "open to anybody; a proxy before it decides"
    HTPASSWD = "its own password file"
    TOKEN = "tokens of a token server, good for 3 seconds"
    TLS = "open, with https"


PUSHER = Account("pusher", "s3cret:word", ANYWHERE)
READER = Account("reader", "s3cret:word")
_AWS = Account("AWS", "a-token-of-twelve-hours", ANYWHERE)
#: What a helper for ECR gives once the first password has ended.
SUCCESSOR = Account("AWS", "the-next-token", ANYWHERE)
_AWS_READER = Account("AWS", "a-token-of-a-reader")
#: The user that stands for an identity token (Azure/acr, docs/AAD-OAuth.md).
_NOBODY = "00000000-0000-0000-0000-000000000000"
_AZURE = Account(_NOBODY, "unused", ANYWHERE, "refresh-token-of-a-pusher")
_AZURE_READER = Account(_NOBODY, "unused", "", "refresh-token-of-a-reader")

_BY_PUSH = "by the push"
_NEVER_ENDS = "passwords do not expire"
_ALL_MAY = "every user may push"


@dataclass(frozen=True, slots=True)
class Row:
    """One kind and one way of getting in.

    ``namespace`` holds ``{n}`` for a number that is new each time. Of the target, the first
    ``made`` segments have to be made by the registry's owner; 0 stands for every repository,
    None for nothing. Its answers tell what it is, if ``told``. ``absent`` tells columns that do
    not apply, and why.
    """

    id: str
    title: str
    kind: Kind
    namespace: str
    admin: str
    made: int | None = None
    told: bool = True
    server: Server = Server.OPEN
    pusher: Account | None = PUSHER
    reader: Account | None = READER
    absent: Mapping[Column, str] = field(default_factory=dict)

    @property
    def imitated(self) -> bool:
        """Whether a proxy stands for something that could not be had here."""
        return self.kind is not table.DISTRIBUTION

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Everybody who may log in."""
        return tuple(one for one in (self.pusher, self.reader) if one is not None)

    def to_make(self, namespace: str, names: Sequence[str]) -> set[str]:
        """What the owner has to make before these images can be pushed below a namespace."""
        if self.made is None:
            return set()
        if self.made == 0:
            return {f"{namespace}/{name}" for name in names}
        return {"/".join(namespace.split("/")[: self.made])}


_NO_LOGIN = {
    Column.PASSWORD: "no passwords",
    Column.EXPIRY: "no tokens",
    Column.CREATION: _BY_PUSH,
}

ROWS: tuple[Row, ...] = (
    Row(
        "distribution",
        "distribution, open",
        table.DISTRIBUTION,
        "open{n}/apps",
        "Nothing. A read-only registry (`maintenance.readonly`) refuses with 405, exit 22.",
        pusher=None,
        reader=None,
        absent=_NO_LOGIN,
    ),
    Row(
        "distribution-tls",
        "distribution, TLS",
        table.DISTRIBUTION,
        "tls{n}/apps",
        "The certificate of its authority (`--ca-file`), unless the system trusts it.",
        server=Server.TLS,
        pusher=None,
        reader=None,
        absent={**_NO_LOGIN, Column.RIGHT: "no users"},
    ),
    Row(
        "distribution-htpasswd",
        "distribution, htpasswd",
        table.DISTRIBUTION,
        "users{n}/apps",
        "A user in the htpasswd file; each of them may push anywhere.",
        server=Server.HTPASSWD,
        reader=None,
        absent={
            Column.CREATION: _BY_PUSH,
            Column.RIGHT: _ALL_MAY,
            Column.EXPIRY: _NEVER_ENDS,
        },
    ),
    Row(
        "distribution-token",
        "distribution, tokens",
        table.DISTRIBUTION,
        "tokens{n}/apps",
        "A user whom the token server grants `pull,push` on the repositories; "
        "`--token-host` where it is on another host.",
        server=Server.TOKEN,
        absent={Column.CREATION: _BY_PUSH},
    ),
    Row(
        "zot",
        "zot",
        table.ZOT,
        "zot{n}/apps",
        "A user with `create` and `update` on the repositories. Docker manifests and lists only "
        'with `http.compat: ["docker2s2"]`.',
        absent={Column.CREATION: _BY_PUSH, Column.EXPIRY: _NEVER_ENDS},
        told=False,
    ),
    Row(
        "harbor",
        "Harbor",
        table.HARBOR,
        "harbor{n}/apps",
        "The project (first segment of the namespace), and a robot with push and pull on it. "
        "Immutable tag rules must leave out `airgap-receipts`.",
        made=1,
    ),
    Row(
        "quay",
        "Quay",
        table.QUAY,
        "quay{n}",
        "The organisation (first segment), and a robot that may create repositories in it. New "
        "repositories are private: grant the cluster's robot read.",
        made=1,
    ),
    Row(
        "ecr",
        "Amazon ECR",
        table.ECR,
        "ecr{n}/apps",
        "Every repository, `airgap-receipts` included, and `ecr:InitiateLayerUpload`, "
        "`UploadLayerPart`, `CompleteLayerUpload`, `PutImage`, `BatchCheckLayerAvailability`, "
        "`BatchGetImage`, `GetDownloadUrlForLayer` on them.",
        made=0,
        pusher=_AWS,
        reader=_AWS_READER,
    ),
    Row(
        "gar",
        "Google Artifact Registry",
        table.GAR,
        "acme{n}/apps",
        "The repository (second segment; the first is the project), and "
        "`roles/artifactregistry.writer` on it.",
        made=2,
        told=False,
    ),
    Row(
        "ghcr",
        "GitHub (ghcr.io)",
        table.GHCR,
        "owner{n}",
        "A classic token with `write:packages`. Packages are private at first.",
        absent={Column.CREATION: _BY_PUSH},
    ),
    Row(
        "acr",
        "Azure Container Registry",
        table.ACR,
        "acr{n}/apps",
        "`AcrPush` for the account, or a token with `content/write` and `content/read` on the "
        "repositories.",
        pusher=_AZURE,
        reader=_AZURE_READER,
        absent={Column.CREATION: _BY_PUSH},
        told=False,
    ),
    Row(
        "dockerhub",
        "Docker Hub",
        table.DOCKER_HUB,
        "hub{n}",
        "The account or organisation (the namespace, of one segment), and a token that may "
        "read and write.",
        absent={Column.CREATION: _BY_PUSH},
    ),
    Row(
        "artifactory",
        "JFrog Artifactory",
        table.ARTIFACTORY,
        "key{n}/apps",
        "A local Docker repository (its key is the first segment), and deploy and read on it.",
        made=1,
    ),
    Row(
        "nexus",
        "Sonatype Nexus",
        table.NEXUS,
        "hosted{n}/apps",
        "A hosted Docker repository (the first segment, with path-based routing), with redeploy "
        "allowed, and `nx-repository-view-docker-NAME-*` on it.",
        made=1,
        absent={Column.EXPIRY: _NEVER_ENDS},
    ),
)
