from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_bundler.mirrors import Mirrors, parse_mirrors
from airgap_shared.errors import UsageError
from airgap_shared.oci.reference import parse_reference


@pytest.mark.parametrize(
    ("rules", "text", "location"),
    [
        ([], "nginx:1", "docker.io/library/nginx"),
        ([], "q.io/a/b", "q.io/a/b"),
        (["q.io=m.io"], "q.io/a/b", "m.io/a/b"),
        (["q.io=m.io:5000/proxy"], "q.io/a/b", "m.io:5000/proxy/a/b"),
        (["q.io=https://m.io/"], "q.io/a/b", "m.io/a/b"),
        (["q.io=m.io"], "qq.io/a/b", "qq.io/a/b"),
        (["q.io=m.io"], "q.io:5000/a", "q.io:5000/a"),
        (["q.io:5000=m.io"], "q.io:5000/a", "m.io/a"),
        (["q.io/team=m.io/x"], "q.io/team/app", "m.io/x/app"),
        (["q.io/team=m.io/x"], "q.io/teams/app", "q.io/teams/app"),
        (["q.io/team/app=m.io/x"], "q.io/team/app", "m.io/x"),
        (["docker.io=m.io"], "nginx", "m.io/library/nginx"),
        (["index.docker.io=m.io"], "nginx", "m.io/library/nginx"),
        (["docker.io/library=m.io"], "nginx", "m.io/nginx"),
        (["*=m.io"], "nginx", "m.io/docker.io/library/nginx"),
        (["*=m.io/all"], "q.io/a", "m.io/all/q.io/a"),
        (["*=127.0.0.1:5000"], "localhost:5001/a", "127.0.0.1:5000/localhost_5001/a"),
        (["*=m.io", "q.io=n.io"], "q.io/a", "n.io/a"),
        (["q.io=n.io", "*=m.io"], "q.io/a", "n.io/a"),
        (["*=m.io", "q.io=n.io"], "r.io/a", "m.io/r.io/a"),
        (["q.io=m.io", "q.io/team=n.io", "q.io/team/app=o.io/p"], "q.io/team/app", "o.io/p"),
        (["q.io/team=n.io", "q.io=m.io"], "q.io/team/web", "n.io/web"),
        (["q.io=[::1]:5000"], "q.io/a", "[::1]:5000/a"),
    ],
)
def test_the_longest_prefix_says_where_to_read(rules: list[str], text: str, location: str) -> None:
    assert str(parse_mirrors(rules).locate(parse_reference(text))) == location


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "q.io",
        "q.io=",
        "=m.io",
        "q.io=http://m.io",
        "q.io=ftp://m.io",
        "q.io=m.io/Upper",
        "q.io=m.io//x",
        "q.io=m.io:99999",
        "q.io=m.io?x",
        "q.io=user@m.io",
        "q.io=m.io=n.io",
        "q.io/*=m.io",
        "q.io/=m.io",
        "q.io/Upper=m.io",
        "**=m.io",
        "https://q.io=m.io",
        "q.io:1.2=m.io",
        "q.io=m.io\n",
    ],
)
def test_anything_else_is_a_mistake_of_the_user(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mirrors([text])
    assert caught.value.where == "--mirror"
    assert "PREFIX=HOST" in caught.value.next_step


def test_no_password_is_shown() -> None:
    for text in ("q.io=https://user:s3c/ret@m.io", "user:s3cret@m.io"):
        with pytest.raises(UsageError) as caught:
            parse_mirrors([text])
        assert "s3c" not in caught.value.what
        assert "m.io" in caught.value.what


@pytest.mark.parametrize(
    ("rules", "idle"),
    [
        (["dockr.io=m.io", "*=n.io"], "dockr.io"),
        (["nginx=m.io"], "nginx"),
        (["q.io/tea=m.io"], "q.io/tea"),
        (["q.io=m.io", "q.io/team/ap=m.io"], "q.io/team/ap"),
        (["*=m.io"], ""),
        (["index.docker.io=m.io", "q.io=m.io"], ""),
        # The longer one takes all, and the shorter one is right all the same.
        (["q.io=m.io", "q.io/team=n.io", "docker.io/library/nginx=n.io"], ""),
    ],
)
def test_a_prefix_that_no_image_has_is_misspelt(rules: list[str], idle: str) -> None:
    mirrors = parse_mirrors(rules)
    images = [parse_reference(text) for text in ("nginx:1", "q.io/team/app:2")]
    if not idle:
        mirrors.refuse_idle(images)
        return
    with pytest.raises(UsageError) as caught:
        mirrors.refuse_idle(images)
    assert caught.value.what.endswith(f" {idle}")
    assert caught.value.where == "--mirror"


def test_everything_may_be_nothing() -> None:
    parse_mirrors(["*=m.io"]).refuse_idle([])


@pytest.mark.parametrize(
    "rules",
    [["q.io=m.io", "q.io=n.io"], ["*=m.io", "*=n.io"], ["docker.io=m.io", "index.docker.io=n.io"]],
)
def test_one_prefix_has_one_mirror(rules: list[str]) -> None:
    with pytest.raises(UsageError, match="two mirrors"):
        parse_mirrors(rules)


HOSTS = ["q.io", "r.io:5000", "docker.io"]
PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(st.sampled_from(HOSTS), PATHS, st.lists(st.sampled_from("abc"), max_size=4))
def test_the_order_of_rules_does_not_matter(host: str, path: str, prefix: list[str]) -> None:
    rules = parse_mirrors(
        [f"{'/'.join([host, *prefix[:n]])}=m{n}.io/x" for n in range(len(prefix) + 1)]
    )
    reference = parse_reference(f"{host}/{path}")
    assert rules.locate(reference) == Mirrors(rules.rules[::-1]).locate(reference)
