from __future__ import annotations

import pytest

from airgap_shared.stores.allowance import Allowance, read_allowance


@pytest.mark.parametrize(
    ("headers", "allowance", "text"),
    [
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            Allowance(76, 100, 21600),
            "76 more pulls of 100 in 6 h",
        ),
        ({"ratelimit-remaining": " 0 ; w=90 "}, Allowance(0, None, 90), "0 more pulls in 0.025 h"),
        ({"ratelimit-remaining": "5"}, Allowance(5), "5 more pulls"),
        (
            {"ratelimit-remaining": "5", "ratelimit-limit": "9;w=3600"},
            Allowance(5, 9, 3600),
            "5 more pulls of 9 in 1 h",
        ),
        (
            {"ratelimit-remaining": "7;burst=3", "ratelimit-limit": "x"},
            Allowance(7),
            "7 more pulls",
        ),
    ],
)
def test_what_registries_say(headers: dict[str, str], allowance: Allowance, text: str) -> None:
    assert read_allowance(headers) == allowance
    assert str(allowance) == text


@pytest.mark.parametrize("value", ["", "many", "-1", ";w=5", "٣"])
def test_what_says_nothing(value: str) -> None:
    assert read_allowance({"ratelimit-remaining": value}) is None
    assert read_allowance({}) is None
