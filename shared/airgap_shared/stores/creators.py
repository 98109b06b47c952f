"""Creators: what makes repositories, and what holds them, where pushing does not.

Harbor's API is that of its swagger.yaml (projects), Quay's that of its API reference
(createOrganization, createRepo).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from airgap_shared.errors import RegistryRejected
from airgap_shared.stores.apiclient import ApiClient, Reply, json_request
from airgap_shared.stores.ecraccess import EcrAccess
from airgap_shared.stores.ecrapi import EcrSettings
from airgap_shared.stores.ports import Place

_MISSING = 404


@dataclass(frozen=True, slots=True)
class EcrCreator:
    """Makes repositories of ECR; those in ``changing`` have tags that move, whatever is set."""

    access: EcrAccess
    host: str
    settings: EcrSettings
    changing: frozenset[str] = frozenset()

    def lacking(self, repository: str, told: bool) -> tuple[Place, ...]:
        place = Place("repository", repository)
        if told:
            # What ECR says itself needs no further right.
            return (place,)
        with self.access.api(self.host) as api:
            return () if api.has_repository(repository) else (place,)

    def create(self, place: Place) -> bool:
        settings = self.settings
        if place.name in self.changing:
            settings = replace(settings, immutable_tags=False)
        with self.access.api(self.host) as api:
            return api.create_repository(place.name, settings)


@dataclass(frozen=True, slots=True)
class HarborCreator:
    """Makes private projects of Harbor, as the user who pushes.

    ``authorization`` gives the header of that user for a path in the registry.
    """

    client: ApiClient
    authorization: Callable[[str], str | None] = field(repr=False)

    def lacking(self, repository: str, told: bool) -> tuple[Place, ...]:
        name = repository.partition("/")[0]
        url = f"{self.client.base_url}/api/v2.0/projects?project_name={quote(name)}"
        request = json_request("HEAD", url, f"project {name}", (200, _MISSING))
        reply = self._ask(lambda: self.client.ask(request, self.authorization(name)))
        return (Place("project", name),) if reply.status == _MISSING else ()

    def create(self, place: Place) -> bool:
        url = f"{self.client.base_url}/api/v2.0/projects"
        document = {"project_name": place.name, "metadata": {"public": "false"}}
        request = json_request("POST", url, f"project {place.name}", (201, 409), document)
        reply = self._ask(lambda: self.client.ask(request, self.authorization(place.name)))
        return reply.status == 201

    def _ask(self, question: Callable[[], Reply]) -> Reply:
        return self.client.patiently(question)


@dataclass(frozen=True, slots=True)
class QuayCreator:
    """Makes organizations and private repositories of Quay by an OAuth token."""

    client: ApiClient
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        self.client.redactor.learn(self.token)

    def lacking(self, repository: str, told: bool) -> tuple[Place, ...]:
        organization = Place("organization", repository.partition("/")[0])
        whole = Place("repository", repository)
        if not self._is_there(f"organization/{organization.name}", organization):
            if self._is_there(f"users/{organization.name}", organization):
                return () if self._is_there(f"repository/{repository}", whole) else (whole,)
            return (organization, whole)
        return () if self._is_there(f"repository/{repository}", whole) else (whole,)

    def create(self, place: Place) -> bool:
        if place.noun == "organization":
            return self._post("organization/", place, {"name": place.name})
        namespace, _, name = place.name.partition("/")
        document = {
            "namespace": namespace,
            "repository": name,
            "visibility": "private",
            "description": "",
            "repo_kind": "image",
        }
        return self._post("repository", place, document)

    def _is_there(self, path: str, place: Place) -> bool:
        url = f"{self.client.base_url}/api/v1/{quote(path)}"
        request = json_request("GET", url, str(place), (200, _MISSING))
        return self._ask(lambda: self.client.ask(request, self._header)).status != _MISSING

    def _post(self, path: str, place: Place, document: object) -> bool:
        url = f"{self.client.base_url}/api/v1/{path}"
        request = json_request("POST", url, str(place), (201, 400), document)
        reply = self._ask(lambda: self.client.ask(request, self._header))
        if reply.status == 201:
            return True
        told = reply.text("error_message") or reply.text("message") or reply.text("detail")
        if "already exists" in told:
            return False
        raise RegistryRejected(
            self.client.redactor.clean(f"Quay refuses: {told}"), where=str(place)
        )

    def _ask(self, question: Callable[[], Reply]) -> Reply:
        return self.client.patiently(question)

    @property
    def _header(self) -> str:
        return f"Bearer {self.token}"
