"""A behaviour proxy: a real docker-registry that behaves as another kind of registry does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from support.docker_registry import ServerCertificate
from support.fault_proxy import FaultProxy, Recorded
from support.faults import Action, Answer, Examine, PassOn, Rewrite
from support.kinds.asked import Asked
from support.kinds.doors import Door, OpenDoor
from support.kinds.quirks import ManifestQuirk, Quirk
from support.kinds.site import Site
from support.registry_storage import RegistryStorage

_OPEN = OpenDoor()


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of registry behaves.

    ``name`` is what ``--registry-type`` calls it. A request meets ``apis`` (what is not the
    distribution API), the ``door``, the ``quirks`` that come before rights, the rights, the other
    quirks and those about manifests, in this order; the first that answers ends it. ``referrers``
    tells kinds that enter manifests with a subject in the list of referrers themselves.
    """

    name: str
    door: Door = _OPEN
    apis: tuple[Quirk, ...] = ()
    before_rights: tuple[Quirk, ...] = ()
    quirks: tuple[Quirk, ...] = ()
    manifests: tuple[ManifestQuirk, ...] = ()
    referrers: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    def unguarded(self) -> Kind:
        """The same, open to anybody: for a test that looks into it."""
        return replace(self, door=_OPEN)

    def act(self, asked: Asked, site: Site) -> Action | None:
        """What happens to a request; nothing if plain distribution does the same."""
        for step in (*self.apis, self.door.enter, *self.before_rights, self.door.permit):
            if (action := step(asked, site)) is not None:
                return action
        changes: Rewrite | PassOn | None = None
        for quirk in self.quirks:
            action = quirk(asked, site)
            if isinstance(action, Rewrite | PassOn):
                changes = action
            elif action is not None:
                return action
        if asked.puts_manifest:
            return Examine(lambda raw: self._judge(asked, raw, site))
        return changes

    def _judge(self, asked: Asked, raw: bytes, site: Site) -> Answer | Rewrite:
        for quirk in self.manifests:
            if (answer := quirk(asked, raw, site)) is not None:
                return answer
        subject = json.loads(raw).get("subject", {}).get("digest")
        return Rewrite(headers={"OCI-Subject": subject} if subject and self.referrers else {})


class BehaviourProxy(FaultProxy):
    """A recording proxy before an open docker-registry that behaves as ``kind`` does.

    ``site`` is what its owner has made and set. Rules for faults come first, as in any proxy.
    """

    def __init__(
        self,
        kind: Kind,
        upstream: str,
        storage: RegistryStorage,
        tls: ServerCertificate | None = None,
    ) -> None:
        super().__init__(upstream, tls=tls)
        self.kind = kind
        self.site = Site(self.url, storage)

    def begin(self, request: Recorded) -> tuple[int, Action | None]:
        number, action = super().begin(request)
        return number, action or self._behave(request)

    def _behave(self, request: Recorded) -> Action | None:
        asked = Asked.read(request.method, request.path, request.headers)
        return _with_headers(self.kind.act(asked, self.site), dict(self.kind.headers))


#: The fixture that starts a behaviour proxy for one test.
MakeKind = Callable[[Kind], BehaviourProxy]


def _with_headers(action: Action | None, headers: dict[str, str]) -> Action | None:
    """The same with headers that a kind gives to every answer."""
    if not headers:
        return action
    if action is None:
        return Rewrite(headers=headers)
    if isinstance(action, Answer):
        return replace(action, headers={**headers, **action.headers})
    if isinstance(action, Rewrite):
        return replace(action, headers={**headers, **action.headers})
    return action
