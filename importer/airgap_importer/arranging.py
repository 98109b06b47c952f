"""Which objects kustomize deploys, which have to be created by hand, and which are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.yamlscalars import scalar_text

_KUSTOMIZE_GROUP = "kustomize.config.k8s.io"
# kustomize 5 leaves out what has it, whatever its value; older ones deploy it.
_LOCAL_CONFIG = "config.kubernetes.io/local-config"


# What Kubernetes itself has outside of namespaces; kustomize does not look at theirs either.
_OUTSIDE_NAMESPACES = {
    "": {"Namespace", "Node", "PersistentVolume"},
    "admissionregistration.k8s.io": {
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    },
    "apiextensions.k8s.io": {"CustomResourceDefinition"},
    "apiregistration.k8s.io": {"APIService"},
    "certificates.k8s.io": {"CertificateSigningRequest"},
    "flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
    "networking.k8s.io": {"IngressClass"},
    "node.k8s.io": {"RuntimeClass"},
    "policy": {"PodSecurityPolicy"},
    "rbac.authorization.k8s.io": {"ClusterRole", "ClusterRoleBinding"},
    "scheduling.k8s.io": {"PriorityClass"},
    "storage.k8s.io": {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"},
}


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The objects of an application, each in one of three places; ``notes`` say why in words.

    ``created`` have no name, at best a ``generateName``: kubectl can never apply them.
    """

    deployed: tuple[KubeObject, ...]
    created: tuple[KubeObject, ...]
    notes: tuple[str, ...]


def arrange(objects: Iterable[KubeObject]) -> Arrangement:
    """Part the objects by what kubectl and kustomize can do with them.

    Of an object that is there several times the last one counts, as it would after
    ``kubectl apply`` of all files.
    """
    deployed: dict[tuple[str, ...], KubeObject] = {}
    created, notes = [], []
    for obj in objects:
        if obj.identity.group == _KUSTOMIZE_GROUP:
            notes.append(f"{obj}: is for kustomize, not for the cluster; left out")
        elif _is_local(obj):
            notes.append(f"{obj}: its annotation {_LOCAL_CONFIG} keeps it from clusters; left out")
        elif obj.identity.name:
            key = _key(obj)
            earlier = deployed.pop(key, None)
            if earlier is not None:
                notes.append(_twice(earlier, obj))
            deployed[key] = obj
        else:
            created.append(obj)
            if not _generates_name(obj):
                notes.append(f"{obj}: has neither name nor generateName; give it one to create it")
    return Arrangement(tuple(deployed.values()), tuple(created), tuple(notes))


def _key(obj: KubeObject) -> tuple[str, ...]:
    identity = obj.identity
    # kustomize 5 takes no namespace and "default" for the same.
    namespace = identity.namespace or "default"
    if identity.kind in _OUTSIDE_NAMESPACES.get(identity.group, ()):
        namespace = ""
    return identity.api_version, identity.kind, identity.name, namespace


def _twice(earlier: KubeObject, later: KubeObject) -> str:
    where = f"{later}: is also in {earlier.file}"
    if earlier.value == later.value:
        return f"{where}, the same; deployed once"
    return f"{where}, otherwise; the later one counts, as with kubectl apply"


def _is_local(obj: KubeObject) -> bool:
    metadata = obj.value.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return isinstance(annotations, Mapping) and _LOCAL_CONFIG in annotations


def _generates_name(obj: KubeObject) -> bool:
    metadata = obj.value.get("metadata")
    return isinstance(metadata, dict) and bool(scalar_text(metadata.get("generateName")))
