from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airgap_shared.stores.awssignature import AwsCall, AwsKeys, AwsScope, sign

LASTING = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = AwsKeys("ASIAEXAMPLE", "s/+cret", "IQoJb3JpZ2luX2VjE=//token+with/signs==")
SCOPE = AwsScope("eu-central-1", "ecr")
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))


def by_botocore(call: AwsCall, keys: AwsKeys, scope: AwsScope, moment: datetime) -> dict[str, str]:
    """The headers that botocore sends, with its clock standing still."""
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    request = botocore.awsrequest.AWSRequest(
        call.method, call.url, headers=dict(call.headers), data=call.body
    )
    credentials = botocore.credentials.Credentials(
        keys.key_id, keys.secret, keys.session_token or None
    )
    signer = botocore.auth.SigV4Auth(credentials, scope.service, scope.region)
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: naive):
        signer.add_auth(request)
    return dict(request.headers.items())


def assert_same(call: AwsCall, keys: AwsKeys, scope: AwsScope, moment: datetime) -> None:
    ours = sign(call, keys, scope, moment)
    assert ours == by_botocore(call, keys, scope, moment)


ECR_CALL = AwsCall(
    "POST",
    "https://api.ecr.eu-central-1.amazonaws.com/",
    {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
    },
    b'{"repositoryName": "shop/web"}',
)


@pytest.mark.parametrize("keys", [LASTING, SESSION], ids=["lasting", "session"])
@pytest.mark.parametrize(
    "moment",
    [
        datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=14))),
    ],
)
def test_a_call_is_signed_as_botocore_signs_it(keys: AwsKeys, moment: datetime) -> None:
    assert_same(ECR_CALL, keys, SCOPE, moment)


def test_the_documented_example_has_its_signature() -> None:
    """The example of the AWS General Reference, "Examples of the complete Signature Version 4"."""
    call = AwsCall(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    moment = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    keys = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    headers = sign(call, keys, AwsScope("us-east-1", "iam"), moment)
    assert headers["Authorization"].endswith(
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_every_part_changes_the_signature() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    calls = [
        ECR_CALL,
        AwsCall("PUT", ECR_CALL.url, ECR_CALL.headers, ECR_CALL.body),
        AwsCall("POST", ECR_CALL.url + "x", ECR_CALL.headers, ECR_CALL.body),
        AwsCall("POST", ECR_CALL.url + "?x", ECR_CALL.headers, ECR_CALL.body),
        AwsCall("POST", ECR_CALL.url, {}, ECR_CALL.body),
        AwsCall("POST", ECR_CALL.url, ECR_CALL.headers, ECR_CALL.body + b" "),
    ]
    signed = [sign(call, LASTING, SCOPE, moment) for call in calls]
    signed += [
        sign(ECR_CALL, LASTING, AwsScope("us-east-1", "ecr"), moment),
        sign(ECR_CALL, LASTING, AwsScope("eu-central-1", "iam"), moment),
        sign(ECR_CALL, LASTING, SCOPE, moment + timedelta(seconds=1)),
        sign(ECR_CALL, SESSION, SCOPE, moment),
        sign(ECR_CALL, AwsKeys("AKIDEXAMPLE", "other"), SCOPE, moment),
    ]
    assert len({headers["Authorization"].rpartition("=")[2] for headers in signed}) == len(signed)


def test_no_secret_is_shown() -> None:
    assert "s/+cret" not in repr(SESSION)
    assert "token" not in repr(SESSION)
    assert SESSION.secrets == (SESSION.secret, SESSION.session_token)


# A path as it stands in a URL: any text once it is percent-encoded, and dots and slashes galore.
_SEGMENT = st.one_of(
    st.sampled_from(
        ["", ".", "..", "...", "a", "%20", "a%2Fb", "~", "-._", "ü", "a b", "$&+,;=:@"]
    ),
    st.text(
        st.characters(codec="ascii", exclude_characters="/?#\\[]\t\r\n\x0b\x0c", min_codepoint=33)
    ),
)
_PATH = st.lists(_SEGMENT, max_size=6).map(lambda parts: "/" + "/".join(parts))
_WORD = st.text(st.characters(codec="ascii", categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=4)
_VALUE = st.text(st.sampled_from("ab09-._~%20+/:=,"), max_size=6)
_QUERY = st.lists(
    st.one_of(st.tuples(_WORD, _VALUE).map(lambda pair: "=".join(pair)), _WORD), max_size=5
).map("&".join)
_HEADERS = st.dictionaries(
    _WORD.map(lambda word: f"X-Amz-{word}"),
    st.text(st.sampled_from("ab \t;=\"'é"), min_size=1, max_size=12),
    max_size=4,
).filter(
    lambda headers: (
        len({name.lower() for name in headers}) == len(headers)
        and not {name.lower() for name in headers} & {"x-amz-date"}
    )
)
_HOSTS = st.sampled_from(
    ["api.ecr.eu-central-1.amazonaws.com", "127.0.0.1:5000", "API.example:443", "a.example:80"]
)


@given(
    st.sampled_from(["http", "https"]),
    _HOSTS,
    _PATH,
    _QUERY,
    _HEADERS,
    st.binary(max_size=40),
    st.sampled_from([LASTING, SESSION]),
    MOMENTS,
)
@example("https", "h", "/a/./b/../../..", "", {}, b"", LASTING, datetime(2026, 1, 1, tzinfo=UTC))
@example("https", "h", "/a//b/..", "b=1&a&a=0", {}, b"", SESSION, datetime(2026, 1, 1, tzinfo=UTC))
def test_any_request_is_signed_as_botocore_signs_it(  # noqa: PLR0913, PLR0917
    scheme: str,
    host: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    keys: AwsKeys,
    moment: datetime,
) -> None:
    url = f"{scheme}://{host}{path}{'?' if query else ''}{query}"
    call: Any = AwsCall("POST", url, headers, body)
    assert urlsplit(url).netloc == host
    assert_same(call, keys, SCOPE, moment)
