"""Whatever holds the references, the search finds them rewritten at the same places."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap_importer.proof import check_changes, promised_by, prove
from airgap_importer.rendering import OwnRenderer
from support.expected import expected_after, found_after
from support.overlays import application, relocation_of, write_overlay

_DIGEST = "@sha256:" + "d" * 64
_NAMES = ("quay.io/org/app", "ghcr.io/a/b/c", "reg.example:5000/x", "docker.io/library/redis")
_FULL = st.builds(
    "{}{}".format,
    st.sampled_from(_NAMES),
    st.sampled_from([":1", ":1.10", _DIGEST, f":2{_DIGEST}"]),
)
_WORDS = st.sampled_from(["plain words", "a: b", "it's", "#", '"', "é 😀", "", "x\n  y\n", "\t"])
_TEXTS = st.one_of(
    _FULL,
    st.builds("--helper-image={}".format, _FULL),
    st.builds("1={}\n2={}".format, _FULL, _FULL),
    st.builds("{} {} {}".format, _WORDS, _FULL, _WORDS),
    _WORDS,
)
_SPLIT = st.one_of(
    st.fixed_dictionaries(
        {
            "registry": st.sampled_from(["ghcr.io", "docker.io"]),
            "repository": st.sampled_from(["org/app", "x/y"]),
            "tag": st.sampled_from(["1", "v2"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "repository": st.sampled_from(["nvcr.io/nvidia", "ghcr.io/org"]),
            "image": st.sampled_from(["toolkit", "driver"]),
            "version": st.sampled_from(["v1.2.3", "4.5.6"]),
        }
    ),
)
_VALUES = st.recursive(
    st.one_of(_TEXTS, _SPLIT, st.integers(0, 3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["image", "someImage", "env", "x", "a.b"]), inner, max_size=3
        ),
        st.builds(json.dumps, st.fixed_dictionaries({"image": inner})),
        st.builds(
            lambda value, style, width: str(
                yaml.safe_dump({"data": value}, default_style=style, width=width)
            ),
            inner,
            st.sampled_from([None, "'", '"', "|", ">"]),
            st.sampled_from([20, 1000]),
        ),
    ),
    max_leaves=6,
)
_OBJECTS = st.one_of(
    st.builds(
        lambda value: {"apiVersion": "example.com/v1", "kind": "Thing", "spec": value}, _VALUES
    ),
    st.builds(
        lambda value: {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x.yaml": value}},
        _VALUES.filter(lambda value: isinstance(value, str)),
    ),
    st.builds(
        lambda place, value: {
            "apiVersion": "v1",
            "kind": place[0],
            place[1]: {"x": base64.b64encode(value.encode()).decode()},
        },
        st.sampled_from([("Secret", "data"), ("ConfigMap", "binaryData")]),
        _VALUES.map(lambda value: value if isinstance(value, str) else json.dumps(value)),
    ),
)


@given(st.lists(_OBJECTS, min_size=1, max_size=3), st.sampled_from(["name", "generateName"]))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_places_hold_the_target(objects: list[dict[str, object]], name: str) -> None:
    text = "---\n".join(
        yaml.safe_dump({**obj, "metadata": {name: f"object-{number}"}}, allow_unicode=True)
        for number, obj in enumerate(objects)
    )
    app = application(text)
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    assert found_after(overlay) == expected_after(overlay, app.uses)
    promised = promised_by(relocation)
    check_changes(overlay, promised)
    with TemporaryDirectory() as folder:
        rendering = OwnRenderer().render(write_overlay(Path(folder), overlay))
    assert prove(overlay, rendering, promised).uses == len(overlay.rewrites)
