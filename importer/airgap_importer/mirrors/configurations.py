"""All the configurations that were asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airgap_importer.mirrors.helmvalues import compose_helm_values
from airgap_importer.mirrors.hoststoml import compose_hosts_toml
from airgap_importer.mirrors.kind import Kind, expand
from airgap_importer.mirrors.mirrorsets import compose_mirror_sets
from airgap_importer.mirrors.outcome import Configuration
from airgap_importer.mirrors.records import Records
from airgap_importer.mirrors.registriesconf import compose_registries_conf
from airgap_importer.mirrors.registriesyaml import compose_registries_yaml
from airgap_importer.mirrors.table import compose_table

_FORMATS: Final[Mapping[Kind, Callable[[Records], Configuration]]] = {
    Kind.CONTAINERD: compose_hosts_toml,
    Kind.K3S: compose_registries_yaml,
    Kind.CRIO: compose_registries_conf,
    Kind.OPENSHIFT: compose_mirror_sets,
    Kind.HELM_VALUES: compose_helm_values,
    Kind.CSV: compose_table,
}


@dataclass(frozen=True, slots=True)
class Configurations:
    """The configurations by kind."""

    by_kind: Mapping[Kind, Configuration]

    @property
    def files(self) -> dict[str, bytes]:
        """All files, each below the name of its kind."""
        return {
            f"{kind}/{path}": content
            for kind, configuration in self.by_kind.items()
            for path, content in configuration.files.items()
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What the files leave out, each behind the kinds that it is true of."""
        kinds: dict[str, list[str]] = {}
        for kind, configuration in self.by_kind.items():
            for note in configuration.notes:
                kinds.setdefault(note, []).append(kind)
        return tuple(f"{', '.join(names)}: {note}" for note, names in kinds.items())

    def to_document(self) -> dict[str, object]:
        """Names of files and notes, as results show them."""
        return {"files": sorted(self.files), "notes": list(self.notes)}


def compose_configurations(records: Records, kinds: Iterable[Kind]) -> Configurations:
    """The configurations of these kinds; they depend on nothing but the records."""
    return Configurations({kind: _FORMATS[kind](records) for kind in expand(kinds)})
