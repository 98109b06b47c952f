"""References to pull secrets in pod specs and service accounts. Pure.

What is added are names; who may pull, and with which password, is said in the cluster alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from airgap_shared.errors import UsageError
from airgap_shared.kube.objects import KubeObject, ObjectIdentity
from airgap_shared.kube.replacing import value_at
from airgap_shared.kube.uses import FieldPath, ImageUse

FIELD: Final = "imagePullSecrets"

_Path = tuple[str, ...]
_TEMPLATE: Final[_Path] = ("spec", "template", "spec")
_WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
#: Where the built-in kinds have their pod spec, by group and kind, whatever the version.
_POD_SPECS: Final[Mapping[tuple[str, str], _Path]] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    **{(group, kind): _TEMPLATE for group in ("apps", "extensions") for kind in _WORKLOADS},
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    # Custom resources that hold a pod spec of Kubernetes as it is.
    ("apps.openshift.io", "DeploymentConfig"): _TEMPLATE,
    ("argoproj.io", "Rollout"): _TEMPLATE,
    ("serving.knative.dev", "Service"): _TEMPLATE,
    ("serving.knative.dev", "Configuration"): _TEMPLATE,
}
#: Custom resources with a field of the same name and shape for all pods made from them.
_OWNERS: Final[Mapping[tuple[str, str], _Path]] = {
    ("monitoring.coreos.com", "Prometheus"): ("spec",),
    ("monitoring.coreos.com", "PrometheusAgent"): ("spec",),
    ("monitoring.coreos.com", "Alertmanager"): ("spec",),
    ("monitoring.coreos.com", "ThanosRuler"): ("spec",),
    ("postgresql.cnpg.io", "Cluster"): ("spec",),
    ("argoproj.io", "Workflow"): ("spec",),
    ("argoproj.io", "WorkflowTemplate"): ("spec",),
    ("argoproj.io", "ClusterWorkflowTemplate"): ("spec",),
    ("argoproj.io", "CronWorkflow"): ("spec", "workflowSpec"),
}
_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST = 253


@dataclass(frozen=True, slots=True)
class SecretReferences:
    """The references of one pod spec or service account: as they are, and as they shall be.

    ``path`` leads to the field; ``before`` is None where there is nothing.
    """

    owner: KubeObject
    path: FieldPath
    before: object
    after: tuple[object, ...]

    @property
    def is_new(self) -> bool:
        """Whether something has to be added."""
        return self.before != list(self.after)


@dataclass(frozen=True, slots=True)
class PullSecrets:
    """The names that were asked for, and where they are referred to.

    ``unreached`` are the places that name images which are not pulled for a pod spec known here.
    """

    names: tuple[str, ...] = ()
    references: tuple[SecretReferences, ...] = ()
    unreached: tuple[str, ...] = ()

    def of(self, obj: KubeObject) -> tuple[SecretReferences, ...]:
        """The references in one object."""
        return tuple(found for found in self.references if found.owner == obj)

    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that need the secrets; empty for the one that is deployed into."""
        return tuple(sorted({found.owner.identity.namespace for found in self.references}))

    def to_document(self) -> dict[str, object]:
        """What was referred to where, as records and results show it."""
        return {
            "names": list(self.names),
            "namespaces": list(self.namespaces()),
            "references": [f"{found.owner}#{found.path}" for found in self.references],
            "unreached": list(self.unreached),
        }


NO_SECRETS: Final = PullSecrets()


def parse_secret_names(texts: Iterable[str]) -> tuple[str, ...]:
    """The names of secrets, each once.

    Raises:
        UsageError: one is no name of an object in Kubernetes (RFC 1123, a DNS subdomain).

    """
    names = tuple(dict.fromkeys(texts))
    for name in names:
        if len(name) > _LONGEST or not _SUBDOMAIN.fullmatch(name):
            # Not shown: it may be a password given in the wrong place.
            raise UsageError(
                "one of the values given cannot name a secret",
                where="--pull-secret",
                next_step="give the name alone: lower-case letters, digits, dashes and dots",
            )
    return names


def find_references(
    objects: Iterable[KubeObject], rewritten: Iterable[ImageUse], names: Sequence[str]
) -> PullSecrets:
    """Where ``names`` belong: each pod spec with a rewritten image, and each service account."""
    if not names:
        return PullSecrets()
    uses: dict[KubeObject, list[ImageUse]] = {}
    for use in rewritten:
        uses.setdefault(use.object, []).append(use)
    references: list[SecretReferences] = []
    unreached: list[str] = []
    for obj in objects:
        path = _path_of(obj.identity, uses.get(obj, ()))
        found = None if path is None else _references(obj, (*path, FIELD), names)
        if found is not None:
            references.append(found)
        elif path is not None:
            unreached.append(f"{obj}#{FieldPath((*path, FIELD))}: is no list of references")
        unreached += [use.place for use in uses.get(obj, ()) if not _is_pulled_by(use, path)]
    return PullSecrets(tuple(names), tuple(references), tuple(dict.fromkeys(unreached)))


def with_references(obj: KubeObject, secrets: PullSecrets) -> KubeObject:
    """The object with its references in place."""
    value: object = obj.value
    for found in secrets.of(obj):
        value = _with(value, found.path.parts, list(found.after))
    return replace(obj, value=cast(Mapping[str, object], value))


def _path_of(identity: ObjectIdentity, uses: Sequence[ImageUse]) -> _Path | None:
    """The way to what has the field; None where there is nothing, or no image to be pulled."""
    key = (identity.group, identity.kind)
    if key == ("", "ServiceAccount"):
        return ()
    path = _POD_SPECS.get(key) or _OWNERS.get(key)
    if path is None or not any(use.path.parts[: len(path)] == path for use in uses):
        return None
    return path


def _references(obj: KubeObject, path: _Path, names: Sequence[str]) -> SecretReferences | None:
    before = value_at(obj.value, FieldPath(path))
    if before is not None and not isinstance(before, list):
        return None
    kept: list[object] = list(before or ())
    if not all(isinstance(entry, Mapping) for entry in kept):
        return None
    known = {entry.get("name") for entry in kept if isinstance(entry, Mapping)}
    added = [{"name": name} for name in names if name not in known]
    return SecretReferences(obj, FieldPath(path), before, (*kept, *added))


def _is_pulled_by(use: ImageUse, path: _Path | None) -> bool:
    """Whether an image is pulled for the pods that the field at ``path`` is about."""
    if path is None:
        return False
    if (use.object.identity.group, use.object.identity.kind) in _OWNERS:
        return use.path.parts[: len(path)] == path
    match use.path.parts[len(path) :]:
        case (str(field), int(), "image") if not use.inside and not use.pieces:
            return field in _CONTAINERS
        case ("volumes", int(), "image", "reference"):
            return True
    return False


def _with(value: object, parts: Sequence[str | int], after: object) -> object:
    if not parts:
        return after
    fields = cast(Mapping[str, object], value)
    key = cast(str, parts[0])
    return {**fields, key: _with(fields.get(key), parts[1:], after)}
