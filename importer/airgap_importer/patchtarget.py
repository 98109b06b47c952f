"""Whom a JSON 6902 patch of a kustomization means, in old and current kustomize."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from airgap_importer.imagestransformer import escaped
from airgap_shared.errors import OverlayRefused
from airgap_shared.kube.objects import ObjectIdentity

_META = re.compile(r"[\\+*?()|\[\]{}^$]")
_DOT = re.compile(r"\.")
_DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class PatchTarget:
    """The ``target`` of a ``patchesJson6902`` entry.

    kustomize 2.0.3 compares every field literally and takes an empty namespace for any; current
    kustomize takes every field for an anchored regular expression, an empty one for any, and
    sees an object without a namespace in ``default``.
    """

    group: str
    version: str
    kind: str
    name: str
    namespace: str

    def selects(self, identity: ObjectIdentity) -> bool:
        """Whether current kustomize patches this object."""
        return (
            _fits(self.name, identity.name)
            and _fits(self.kind, identity.kind)
            and _fits(self.version, identity.version)
            and _fits(self.group, identity.group)
            and _fits(self.namespace, identity.namespace or _DEFAULT_NAMESPACE)
        )

    def names(self, identity: ObjectIdentity) -> bool:
        """Whether kustomize 2.0.3 patches this object."""
        return (
            (self.group, self.version, self.kind, self.name)
            == (identity.group, identity.version, identity.kind, identity.name)
        ) and self.namespace in ("", identity.namespace)


#: How long the name, the namespace, the group and the version are, and where they have dots; None
#: for one that is empty.
_Shape = tuple[tuple[int, tuple[int, ...]] | None, ...]
#: So many objects of one shape are worth a look at all others that they share.
_MANY = 16


class PatchTargets:
    """Finds targets that mean one object of an application and no other."""

    def __init__(self, identities: Iterable[ObjectIdentity]) -> None:
        self._by_name: dict[tuple[str, str], list[ObjectIdentity]] = defaultdict(list)
        self._by_length: dict[tuple[str, int], list[ObjectIdentity]] = defaultdict(list)
        self._shapes: dict[tuple[str, _Shape], list[ObjectIdentity]] = defaultdict(list)
        self._alike: dict[tuple[str, _Shape], dict[tuple[str, ...], list[ObjectIdentity]]] = {}
        for identity in identities:
            self._by_name[identity.kind, identity.name].append(identity)
            self._by_length[identity.kind, len(identity.name)].append(identity)
            self._shapes[identity.kind, _shape(identity)].append(identity)

    def target_of(self, identity: ObjectIdentity, where: str) -> tuple[PatchTarget, bool]:
        """The target of one object, and whether kustomize 2.0.3 understands it too.

        A target that only current kustomize understands is chosen when the literal one would
        mean several objects; 2.0.3 then stops and says that it finds nothing.

        Raises:
            OverlayRefused: no target means this object alone.

        """
        plain = PatchTarget(
            identity.group, identity.version, identity.kind, identity.name, identity.namespace
        )
        others = self._similar(identity)
        if _is_literal(plain) and not any(map(plain.selects, others)):
            return plain, not any(map(plain.names, others))
        for target in _stricter(plain):
            if target.selects(identity) and not any(map(target.selects, others)):
                return target, False
        raise OverlayRefused("kustomize cannot tell this object from another", where=where)

    def _similar(self, identity: ObjectIdentity) -> Sequence[ObjectIdentity]:
        """The objects that a target of this one could mean as well: a dot means any character."""
        shape = _shape(identity)
        if len(self._shapes[identity.kind, shape]) >= _MANY:
            near = self._read_alike(identity.kind, shape)[_seen(identity, shape)]
            return [other for other in near if other != identity]
        if "." not in identity.name:
            near = self._by_name[identity.kind, identity.name]
            return [other for other in near if other != identity]
        # Escaped first: other special characters never pass as patterns.
        alike = re.compile(escaped(identity.name).replace(r"\.", "."))
        near = self._by_length[identity.kind, len(identity.name)]
        return [other for other in near if alike.fullmatch(other.name) and other != identity]

    def _read_alike(self, kind: str, shape: _Shape) -> dict[tuple[str, ...], list[ObjectIdentity]]:
        """All objects that read like one of this shape, by what is read of them; told once."""
        found = self._alike.get((kind, shape))
        if found is None:
            own = self._shapes[kind, shape]
            found = self._alike[kind, shape] = {_seen(one, shape): [] for one in own}
            for other in self._by_length[kind, len(own[0].name)]:
                seen = _seen(other, shape)
                if seen in found:
                    found[seen].append(other)
        return found


def _shape(identity: ObjectIdentity) -> _Shape:
    """What of a target's fields means more than itself; an empty field means anything."""
    return tuple(
        (len(text), tuple(found.start() for found in _DOT.finditer(text))) if text else None
        for text in (identity.name, identity.namespace, identity.group, identity.version)
    )


def _seen(identity: ObjectIdentity, shape: _Shape) -> tuple[str, ...]:
    """The fields of an object without what a target of this shape does not look at."""
    texts = (
        identity.name,
        identity.namespace or _DEFAULT_NAMESPACE,
        identity.group,
        identity.version,
    )
    return tuple(
        "" if known is None else _without(text, known)
        for text, known in zip(texts, shape, strict=True)
    )


def _without(text: str, known: tuple[int, tuple[int, ...]]) -> str:
    """A text without the characters where a pattern has dots; one of another length stays."""
    length, dots = known
    if not dots or len(text) != length:
        return text
    ends = (*dots, length)
    return ".".join(text[start + 1 : end] for start, end in zip((-1, *dots), ends, strict=True))


def _fits(pattern: str, text: str) -> bool:
    """Whether a text matches a field; short cuts for what has no meaning but its dots."""
    if not pattern:
        return True
    if _META.search(pattern) is None and (pattern == text or len(pattern) != len(text)):
        return pattern == text
    return re.fullmatch(pattern, text) is not None


def _is_literal(target: PatchTarget) -> bool:
    """Whether every field, read as a regular expression, matches its own text."""
    fields = (target.group, target.version, target.kind, target.name, target.namespace)
    return not any(map(_META.search, fields))


def _stricter(plain: PatchTarget) -> Iterator[PatchTarget]:
    exact = PatchTarget(
        escaped(plain.group),
        escaped(plain.version),
        escaped(plain.kind),
        escaped(plain.name),
        escaped(plain.namespace),
    )
    yield exact
    exact = replace(exact, group=exact.group or "^$")
    yield exact
    yield replace(exact, namespace=exact.namespace or _DEFAULT_NAMESPACE)
