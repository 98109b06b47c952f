from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.kube.yamlscalars import (
    YamlFloat,
    YamlInteger,
    key_text,
    resolve_plain,
    scalar_text,
    sent_text,
)

# As kubectl 1.32 reads them (sigs.k8s.io/yaml on go-yaml v2).
AS_KUBECTL = {
    "on": True,
    "yes": True,
    "y": True,
    "Off": False,
    "N": False,
    "oN": "oN",
    "010": 8,
    "0o10": 8,
    "08": 8,
    "0x1F": 31,
    "0x_1": 1,
    "0b11": 3,
    "-0b11": -3,
    "1_000": 1000,
    "1__0": 10,
    "0_": 0,
    "+5": 5,
    "-0": 0,
    "12:30:45": "12:30:45",
    "2024-01-01": "2024-01-01",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14t21:59:43.10-05:00",
    "1.10": 1.1,
    "1.": 1.0,
    ".5": 0.5,
    "1_.5": 1.5,
    "1e3": 1000.0,
    "010.5": 10.5,
    "1e": "1e",
    "_5": "_5",
    "=": "=",
    "~": None,
    "Null": None,
    "99999999999999999999": 1e20,
    "18446744073709551615": 18446744073709552000.0,
    "v1.10": "v1.10",
    "1.2.3": "1.2.3",
    "1e400": "1e400",
}


@pytest.mark.parametrize(("text", "value"), AS_KUBECTL.items())
def test_plain_scalars_are_typed_as_kubectl_types_them(text: str, value: object) -> None:
    resolved = resolve_plain(text)
    assert resolved == value
    assert isinstance(resolved, bool) == isinstance(value, bool)
    assert isinstance(resolved, str) == isinstance(value, str)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_table_is_what_kubectl_says(tmp_path: Path) -> None:
    lines = "".join(f"  k{number}: {text}\n" for number, text in enumerate(AS_KUBECTL))
    manifest = tmp_path / "table.yaml"
    manifest.write_text(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: table}}\ndata:\n{lines}"
    )
    done = subprocess.run(
        ["kubectl", "label", "--local", "-f", manifest, "a=b", "-o", "json"],
        capture_output=True,
        check=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    data = json.loads(done.stdout, parse_int=float)["data"]
    assert data == {f"k{number}": value for number, value in enumerate(AS_KUBECTL.values())}


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN"])
def test_what_json_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        resolve_plain(text)


@pytest.mark.parametrize("text", ["1.10", "010", "1_000", "0x1F", "1e3", "3", "-7.50"])
def test_numbers_keep_their_text_through_copies(text: str) -> None:
    value = copy.deepcopy(resolve_plain(text))
    assert isinstance(value, YamlInteger | YamlFloat)
    assert value.text == text
    assert scalar_text(value) == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2.0", "2"),
        ("1.10", "1.1"),
        ("1e3", "1000"),
        ("0x10", "16"),
        ("007", "7"),
        ("1_000", "1000"),
        ("0o10", "8"),
        ("7", "7"),
        ("-7.50", "-7.5"),
        ("20240101", "20240101"),
        ("99999999999999999999", "100000000000000000000"),
        ("1e30", "1e+30"),
        ("2024-01-01", "2024-01-01"),
        ("yes", "true"),
        ("~", None),
    ],
)
def test_a_cluster_gets_what_json_makes_of_a_number(text: str, sent: str | None) -> None:
    assert sent_text(resolve_plain(text)) == sent


def test_a_number_is_written_to_json_as_a_number() -> None:
    assert json.dumps([YamlFloat(1.1, "1.10"), YamlInteger(8, "010")]) == "[1.1, 8]"


@pytest.mark.parametrize(
    ("text", "key"),
    [("on", "true"), ("off", "false"), ("010", "8"), ("1.10", "1.1"), ("1e3", "1000"), ("a", "a")],
)
def test_keys_become_the_text_that_json_needs(text: str, key: str) -> None:
    assert key_text(resolve_plain(text)) == key


def test_null_is_no_key() -> None:
    assert key_text(resolve_plain("~")) is None


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_is_itself(number: int) -> None:
    value = resolve_plain(str(number))
    assert value == number
    assert isinstance(value, YamlInteger)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_any_text_has_a_value_or_is_refused(text: str) -> None:
    try:
        value = resolve_plain(text)
    except ValueError:
        return
    if isinstance(value, str):
        assert value == text
    elif not isinstance(value, bool | None):
        assert value.text == text  # type: ignore[union-attr]
