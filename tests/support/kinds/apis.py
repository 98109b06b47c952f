"""The APIs of Harbor and Quay by which projects, organizations and repositories are made.

Harbor: goharbor/harbor, api/v2.0/swagger.yaml (headProject, createProject). Quay: quay,
endpoints/api/organization.py and repository.py, with the errors of endpoints/exception.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from support.faults import Action, Answer, Examine
from support.kinds.asked import Asked, json_answer
from support.kinds.site import Site

_HARBOR = "/api/v2.0/projects"
_QUAY = "/api/v1/"


def harbor_projects(asked: Asked, site: Site) -> Action | None:
    """Whether a project is there (HEAD), and a new one (POST)."""
    if asked.path != _HARBOR:
        return None
    user, password = asked.basic or ("", "")
    if site.account(user, password) is None:
        return _harbor_error(401, "UNAUTHORIZED", "unauthorized")
    if asked.method == "HEAD":
        return Answer(200 if asked.one("project_name") in site.existing else 404)
    if user not in site.may_create:
        message = "Only system admin can create project" if user else ""
        return _harbor_error(403, "FORBIDDEN", message)
    return Examine(lambda raw: _new_project(json.loads(raw), site))


def _new_project(document: Mapping[str, object], site: Site) -> Answer:
    name = document["project_name"]
    assert isinstance(name, str)
    assert document["metadata"] == {"public": "false"}
    if name in site.existing:
        return _harbor_error(409, "CONFLICT", f"The project named {name} already exists")
    site.existing.add(name)
    return Answer(201, {"Location": f"{_HARBOR}/7", "Content-Length": "0"})


def _harbor_error(status: int, code: str, message: str) -> Answer:
    return json_answer(status, {"errors": [{"code": code, "message": message}]})


def quay_api(asked: Asked, site: Site) -> Action | None:
    """Organizations, users and repositories: whether they are there, and new ones."""
    if not asked.path.startswith(_QUAY):
        return None
    scheme, token = asked.authorization
    if scheme != "bearer" or token not in {*site.may_create, *site.may_ask}:
        return quay_error(401, "invalid_token", "Requires authentication")
    what, _, name = asked.path.removeprefix(_QUAY).partition("/")
    if asked.method == "GET":
        there = what != "users" and name in site.existing
        return (
            json_answer(200, {"name": name}) if there else quay_error(404, "not_found", "Not Found")
        )
    if token not in site.may_create:
        return quay_error(403, "insufficient_scope", "Unauthorized")
    if what == "organization":
        return Examine(lambda raw: _new_organization(json.loads(raw)["name"], site))
    return Examine(lambda raw: _new_repository(json.loads(raw), site))


def _new_organization(name: str, site: Site) -> Answer:
    if name in site.existing:
        message = "A user or organization with this name already exists"
        return quay_error(400, "invalid_request", message)
    site.existing.add(name)
    return json_answer(201, "Created")


def _new_repository(document: Mapping[str, object], site: Site) -> Answer:
    assert document["visibility"] == "private"
    assert "description" in document
    name = f"{document['namespace']}/{document['repository']}"
    if document["namespace"] not in site.existing:
        return quay_error(403, "insufficient_scope", "Unauthorized")
    if name in site.existing:
        return quay_error(400, "invalid_request", "Repository already exists")
    site.existing.add(name)
    kept = {"namespace": document["namespace"], "name": document["repository"], "kind": "image"}
    return json_answer(201, kept)


def quay_error(status: int, kind: str, message: str) -> Answer:
    """A problem as Quay's API describes it."""
    document = {"detail": message, "error_message": message, "error_type": kind, "title": kind}
    return json_answer(status, {**document, "status": status})
