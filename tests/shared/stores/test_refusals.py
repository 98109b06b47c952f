from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import AirgapError, RegistryUnavailable
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.refusals import judge, read_complaint
from airgap_shared.stores.retrying import Transient

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["errors", "code", "message", "detail", "x"]), inner)
    ),
    max_leaves=10,
)


class Page:
    """A body that is here already."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.closed = False

    def read(self, size: int) -> bytes:
        piece, self._content = self._content[:size], self._content[size:]
        return piece

    def close(self) -> None:
        self.closed = True


def judged(status: int, body: bytes, method: str = "PUT") -> tuple[Exception, Page]:
    page = Page(body)
    request = Request(method, "http://reg.example/v2/", "reg.example/app", (200,))
    answer = Answer(status, {}, (), request.url, page)
    return judge(request, answer, Redactor(), 0.0), page


@given(
    st.integers(100, 599),
    st.binary(max_size=300) | JSON.map(lambda value: json.dumps({"errors": value}).encode()),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
)
def test_every_answer_means_some_error(status: int, body: bytes, method: str) -> None:
    problem, page = judged(status, body, method)
    error = problem.error if isinstance(problem, Transient) else problem
    assert isinstance(error, AirgapError)
    assert error.exit_code in range(20, 26)
    assert error.what.isprintable()
    assert error.where == "reg.example/app"
    assert str(status) in error.what
    assert page.closed


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"errors":[{"code":"A","message":"b"},{"code":"C"}]}', ("A: b", "C")),
        (b'{"errors":[{"code":"A","message":"b","detail":{"n":1}}]}', ('A: b ({"n": 1})',)),
        (b"<html>\n  <h1>Bad\tGateway</h1>\r\n</html>", ("<html> <h1>Bad Gateway</h1> </html>",)),
        (b'{"errors":[{"message":"see https://u:p@h/?t=1"}]}', ("see https://h/",)),
        (b'{"errors":[{"message":"\\u001b[31m"}]}', ("\\x1b[31m",)),
        (b"\xff\xfe", ("��",)),
        (b"  ", ()),
        (b"[" * 60000, ("[" * 500 + "…",)),
        (b'{"errors":{}}', ('{"errors":{}}',)),
        (b'{"errors":[1,null]}', ()),
    ],
)
def test_complaints_in_many_shapes(body: bytes, lines: tuple[str, ...]) -> None:
    assert read_complaint(body, Redactor()).lines == lines


def test_of_a_long_list_of_errors_some_are_shown() -> None:
    body = json.dumps({"errors": [{"code": "X"}] * 1000}).encode()
    assert len(read_complaint(body, Redactor()).lines) == 10


@pytest.mark.parametrize(
    "detail", [b'{"Enclosed":{"Op":"write","Err":28}}', b'"write: no space left on device"']
)
def test_a_full_disk_is_told_as_such(detail: bytes) -> None:
    body = b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":%s}]}' % detail
    problem, _ = judged(500, body)
    assert isinstance(problem, Transient)
    assert "room" in problem.error.next_step
    assert isinstance(problem.error, RegistryUnavailable)
    assert problem.error.status == 500


@given(st.integers(0, 400), st.text(alphabet="abcdefgh", min_size=8, max_size=40))
def test_a_secret_is_hidden_before_the_detail_is_cut(padding: int, secret: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    detail = {"padding": "." * padding, "sent": secret}
    body = json.dumps({"errors": [{"code": "X", "detail": detail}]}).encode()
    shown = "".join(read_complaint(body, redactor).lines)
    assert secret[:6] not in shown
