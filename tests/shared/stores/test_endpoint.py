from __future__ import annotations

import pytest

from airgap_shared.errors import UsageError
from airgap_shared.stores.endpoint import Endpoint, Origin


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://reg.example/v2/", Origin("https", "reg.example", 443)),
        ("HTTPS://REG.Example.:443/x", Origin("https", "reg.example", 443)),
        ("http://reg.example:80", Origin("http", "reg.example", 80)),
        ("http://[::1]:5000/v2/", Origin("http", "::1", 5000)),
        ("https://reg.example:0443/", Origin("https", "reg.example", 443)),
    ],
)
def test_one_origin_in_several_spellings(url: str, origin: Origin) -> None:
    assert Origin.of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/v2/",
        "//reg.example/",
        "ftp://reg.example/",
        "https:///v2/",
        "https://user@reg.example/",
        "https://reg.example:99999/",
        "https://reg.example:x/",
        "https://reg.example\\.evil.test/",
        "https://evil.test\\@reg.example/",
        "https://reg.example\t.evil.test/",
        " https://reg.example/",
        "https://reg.exämple/",
        "https://[::1/",
        "https://evil.test[::1]:5000/",
        "https://[::1]evil.test/",
        "https://.evil.test/",
        "https://reg.example../",
        "https://reg%2eexample/",
    ],
)
def test_no_origin_where_parsers_might_disagree(url: str) -> None:
    assert Origin.of(url) is None


def test_scheme_and_port_belong_to_the_origin() -> None:
    https = Endpoint("reg.example").origin
    assert https != Endpoint("reg.example", plain_http=True).origin
    assert https != Endpoint("reg.example:5000").origin
    assert https == Endpoint("REG.example:443").origin
    assert str(https) == "https://reg.example:443"
    assert str(Endpoint("[::1]:5000").origin) == "https://[::1]:5000"


def test_a_password_before_a_host_is_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint("user:s3cret@reg.example")
    assert "s3cret" not in caught.value.what
    assert "reg.example" in caught.value.what


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io"])
def test_docker_hub_is_spoken_to_by_its_other_name(host: str) -> None:
    assert Endpoint(host).base_url == "https://registry-1.docker.io"
    assert Endpoint(host).host == host


@pytest.mark.parametrize("host", ["", "https://reg.example", "reg.example/x", "a@b", "a:0", "a b"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError):
        Endpoint(host)
