"""What a kustomization would fetch or run while it is built: judged by its text, nothing is done.

The fields are those of kustomize's api/types/kustomization.go; what it takes for the address of a
remote base is in api/internal/git/repospec.go and api/internal/loader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from airgap_shared.errors import PluginForbidden, RemoteBaseForbidden
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.yamltext import read_documents, read_text
from airgap_shared.stores.redaction import without_accounts

#: Fields that list paths, or objects with one.
_PATHS: Final = (
    *("resources", "bases", "components", "crds", "configurations"),
    *("patchesStrategicMerge", "patches", "patchesJson6902", "replacements"),
    *("generators", "transformers", "validators"),
)
#: Fields whose mere presence lets the build run programs or read definitions of its own.
_PLUGINS: Final = (
    *("generators", "transformers", "validators", "configurations", "openapi"),
    *("helmCharts", "helmChartInflationGenerator", "helmGlobals"),
)
_ADDRESS: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://|git::|[\w.-]+@[\w.-]+:|.*\?(ref|version|timeout|submodules)=", re.I
)
_HOST: Final = re.compile(r"(www\.)?[\w-]+(\.[\w-]+)+(:\d+)?/")


def refuse_unsafe(file: ManifestFile, exists: Callable[[str], bool]) -> None:
    """Refuse a kustomization that, built by anybody, reaches elsewhere or runs programs.

    ``exists`` tells whether a path beside the file is there: then it is no address.

    Raises:
        RemoteBaseForbidden, PluginForbidden: it does; every place is named.
        AirgapError: it is no YAML that is read here.

    """
    documents = read_documents(read_text(file.content, file.path), file.path)
    fields = [one.value for one in documents if isinstance(one.value, Mapping)]
    remote = [
        f"{field}: {without_accounts(text)[:200]}"
        for document in fields
        for field, text in _paths(document)
        if _is_remote(text) and not exists(text)
    ]
    if remote:
        raise RemoteBaseForbidden(
            "the kustomization takes parts of the application from elsewhere",
            where=file.path,
            changed="nothing was asked for",
            next_step="copy them into the folder and name them by their paths",
            details=remote,
        )
    plugins = [field for document in fields for field in _PLUGINS if document.get(field)]
    if plugins:
        raise PluginForbidden(
            "the kustomization may run programs while it is built",
            where=file.path,
            changed="nothing was run",
            next_step="render it where you trust it: kubectl kustomize DIR > app.yaml",
            details=plugins,
        )


def _paths(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for field in _PATHS:
        entries = document.get(field)
        for entry in entries if isinstance(entries, list) else ():
            path = entry.get("path") if isinstance(entry, Mapping) else entry
            if isinstance(path, str):
                yield field, path
    openapi = document.get("openapi")
    if isinstance(openapi, Mapping) and isinstance(path := openapi.get("path"), str):
        yield "openapi", path


def _is_remote(text: str) -> bool:
    """Whether kustomize takes this for an address; inline patches have lines."""
    if "\n" in text:
        return False
    return bool(_ADDRESS.match(text) or _HOST.match(text) or "//" in text)
