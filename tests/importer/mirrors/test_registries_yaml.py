"""k3s finds each image in the target, by the rewrite of its repository and no other."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_importer.mirrors.registriesyaml import FILE, compose_registries_yaml
from support.budget import budget
from support.mirroring import pulled_by_k3s, records_of

_COMPONENT = st.from_regex(r"[a-z0-9]{1,3}([._-][a-z0-9]{1,2})?", fullmatch=True)
_PATHS = st.lists(_COMPONENT, min_size=1, max_size=3).map("/".join)
_HOSTS = st.sampled_from(["docker.io", "quay.io", "a.b:5000"])


def test_what_is_written() -> None:
    records = records_of(
        {"nginx:1": "reg.bank/shop/nginx:1", "quay.io/a/b.c:2": "reg.bank/shop/b.c:2"}
    )
    found = compose_registries_yaml(records)
    assert yaml.safe_load(found.files[FILE]) == {
        "mirrors": {
            "docker.io": {
                "endpoint": ["https://reg.bank"],
                "rewrite": {"^library/nginx$": "shop/nginx"},
            },
            "quay.io": {
                "endpoint": ["https://reg.bank"],
                "rewrite": {r"^a/b\.c$": "shop/b.c"},
            },
        }
    }


@given(st.sets(st.tuples(_HOSTS, _PATHS), min_size=1, max_size=6), st.booleans())
@settings(max_examples=budget(30, 200), deadline=None)
def test_every_image_is_looked_for_where_it_is(
    sources: set[tuple[str, str]], plain_http: bool
) -> None:
    names = [f"{host}/{path}:1" for host, path in sorted(sources)]
    targets = {name: f"reg.bank:5000/x/n{number}:1" for number, name in enumerate(names)}
    found = compose_registries_yaml(records_of(targets, plain_http))
    scheme = "http" if plain_http else "https"
    for name, target in targets.items():
        first = pulled_by_k3s(found.files[FILE], name)[0]
        assert first == f"{scheme}://reg.bank:5000/v2/{target.partition('/')[2]}"


def test_other_images_keep_their_path() -> None:
    found = compose_registries_yaml(records_of({"quay.io/a.b/c:1": "reg.bank/x/c:1"}))
    for other in ("quay.io/axb/c:1", "quay.io/a.b/c/d:1", "quay.io/z/a.b/c:1"):
        assert pulled_by_k3s(found.files[FILE], other)[0].startswith(
            f"https://reg.bank/v2/{other.partition('/')[2]}"
        )


def test_no_image_is_no_mirror() -> None:
    assert yaml.safe_load(compose_registries_yaml(records_of({})).files[FILE]) == {"mirrors": {}}
