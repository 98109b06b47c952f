"""The target of one object is judged as if all others had been looked at one by one."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_importer.patchtarget import PatchTarget, PatchTargets
from airgap_shared.errors import OverlayRefused
from airgap_shared.kube.objects import ObjectIdentity

IDENTITIES = st.builds(
    ObjectIdentity,
    st.sampled_from(["v1", "a.b/v1", "axb/v1", "a.b/v.", "c/v1"]),
    st.sampled_from(["Pod", "Thing"]),
    st.text("ab.", min_size=1, max_size=3),
    st.sampled_from(["", "default", "n.s", "nxs", "other"]),
)


def judged(identity: ObjectIdentity, everything: Sequence[ObjectIdentity]) -> tuple[bool, bool]:
    """Whether the literal target means this object alone, in current kustomize and in 2.0.3."""
    plain = PatchTarget(
        identity.group, identity.version, identity.kind, identity.name, identity.namespace
    )
    others = [other for other in everything if other != identity]
    return not any(map(plain.selects, others)), not any(map(plain.names, others))


def check(everything: Sequence[ObjectIdentity]) -> None:
    targets = PatchTargets(everything)
    for identity in everything:
        alone, understood = judged(identity, everything)
        try:
            target, told = targets.target_of(identity, "x")
        except OverlayRefused:
            assert not alone
            continue
        assert [other for other in everything if target.selects(other)] == [identity]
        assert told is (alone and understood)


@given(st.lists(IDENTITIES, unique=True, max_size=60))
@settings(deadline=None)
def test_a_target_means_one_object_alone(everything: list[ObjectIdentity]) -> None:
    check(everything)


def test_many_objects_whose_names_read_alike() -> None:
    """So many that they are looked at together."""
    names = [f"a{mark}{number:02}" for mark in ".x" for number in range(20)]
    check([ObjectIdentity("a.b/v1", "Thing", name, space) for name in names for space in ("", "n")])


def test_one_name_in_many_namespaces_and_groups() -> None:
    spaces = [f"n{mark}{number:02}" for mark in ".x" for number in range(20)]
    check([ObjectIdentity("v1", "Pod", "a.b", space) for space in spaces])
    check([ObjectIdentity(f"{space}/v1", "Pod", "a.b", "n") for space in spaces])
