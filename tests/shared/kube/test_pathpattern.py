from __future__ import annotations

import pytest

from airgap_shared.kube.pathpattern import parse_path_pattern


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("spec.image", ("spec", "image"), True),
        ("spec.image", ("spec", "image", "x"), False),
        ("spec.*.image", ("spec", "a", "image"), True),
        ("spec.*.image", ("spec", 3, "image"), True),
        ("spec.*.image", ("spec", "a", "b", "image"), False),
        ("spec.**.image", ("spec", "image"), True),
        ("spec.**.image", ("spec", "a", 1, "b", "image"), True),
        ("**", (), True),
        ("a[].b", ("a", 0, "b"), True),
        ("a[*].b", ("a", 7, "b"), True),
        ("a[].b", ("a", "x", "b"), False),
        ("a[1]", ("a", 1), True),
        ("a[1]", ("a", 2), False),
        ("data['x.yaml'].y", ("data", "x.yaml", "y"), True),
        ('["a b"]', ("a b",), True),
    ],
)
def test_patterns_fit_from_end_to_end(
    pattern: str, path: tuple[str | int, ...], fits: bool
) -> None:
    assert parse_path_pattern(pattern).matches(path) is fits


@pytest.mark.parametrize("text", ["", "a..b", "a[", "a[x]", ".a", "a.['b", "a." * 70 + "b"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path_pattern(text)


def test_many_stars_take_no_long_time() -> None:
    pattern = parse_path_pattern(".".join(["**"] * 60 + ["x"]))
    assert not pattern.matches(("a",) * 5000)


def test_what_stands_at_a_pattern_is_found() -> None:
    value = {"a": [{"b": 1}, {"b": 2}, {"c": 3}], "d": 4}
    found = list(parse_path_pattern("a[].b").found_in(value))
    assert found == [(("a", 0, "b"), 1), (("a", 1, "b"), 2)]
