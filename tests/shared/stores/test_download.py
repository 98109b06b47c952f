from __future__ import annotations

import logging

import pytest

from airgap_shared.errors import (
    DigestMismatch,
    RegistryError,
    RegistryRejected,
    RegistryUnavailable,
    SizeMismatch,
)
from airgap_shared.oci.digest import Digest
from support.clients import FakeClock, http_client, settings_by
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, FlipByte, Hang, ResetResponse, Rewrite, Rule
from support.images import GeneratedContent, chunks_of
from support.pushing import push_blob

SIZE = (5 << 20) + 17
CONTENT = b"".join(chunks_of(GeneratedContent(SIZE)))
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def proxy(registry: DockerRegistry, make_proxy: MakeProxy) -> FaultProxy:
    """Before a registry that holds the blob."""
    push_blob(registry.host, "app", str(DIGEST), CONTENT)
    return make_proxy(registry.host)


def fetched(proxy: FaultProxy, clock: FakeClock | None = None, offset: int = 0) -> bytes:
    with http_client(proxy.host, settings=settings_by(clock or FakeClock())) as client:
        return b"".join(client.blob_chunks("app", DIGEST, SIZE, offset))


def ranges(proxy: FaultProxy) -> list[str | None]:
    return [one.headers.get("range") for one in proxy.requests("GET", "blobs")]


@pytest.mark.parametrize("abrupt", [True, False])
@pytest.mark.parametrize("after", [0, 1, 1_000_000, 3 << 20, SIZE - 1])
def test_a_broken_download_is_continued(proxy: FaultProxy, after: int, abrupt: bool) -> None:
    proxy.add(Rule(ResetResponse(after, abrupt), "GET", "blobs"))
    assert fetched(proxy) == CONTENT
    first, second = ranges(proxy)
    assert first is None
    assert second is None or 0 < int(second.removeprefix("bytes=").rstrip("-")) <= after


def test_much_of_it_is_not_fetched_twice(proxy: FaultProxy) -> None:
    proxy.add(Rule(ResetResponse(3 << 20, False), "GET", "blobs"))
    fetched(proxy)
    assert ranges(proxy) == [None, f"bytes={3 << 20}-"]


def test_a_download_from_the_middle_is_continued(proxy: FaultProxy) -> None:
    proxy.add(Rule(ResetResponse(1 << 20, False), "GET", "blobs"))
    assert fetched(proxy, offset=1000) == CONTENT[1000:]
    assert ranges(proxy) == ["bytes=1000-", f"bytes={1000 + (1 << 20)}-"]


def test_many_breaks_are_survived_while_there_is_progress(proxy: FaultProxy) -> None:
    proxy.add(Rule(ResetResponse(1 << 20, False), "GET", "blobs", times=None))
    clock = FakeClock()
    with http_client(proxy.host, settings=settings_by(clock, attempts=2)) as client:
        assert b"".join(client.blob_chunks("app", DIGEST, SIZE)) == CONTENT
    assert len(clock.pauses) == 5


def test_no_progress_ends_it(proxy: FaultProxy) -> None:
    proxy.add(Rule(ResetResponse(1000, False), "GET", "blobs", times=None))
    clock = FakeClock()
    with (
        http_client(proxy.host, settings=settings_by(clock, attempts=4)) as client,
        pytest.raises(RegistryUnavailable) as caught,
    ):
        list(client.blob_chunks("app", DIGEST, SIZE))
    assert len(clock.pauses) == 3
    assert caught.value.where == f"{proxy.host}/app@{DIGEST}"


def test_a_server_that_knows_no_ranges_is_read_from_the_start(proxy: FaultProxy) -> None:
    whole = Rewrite(200, {"Content-Length": str(SIZE), "Content-Range": None}, CONTENT)
    proxy.add(Rule(ResetResponse(2 << 20, False), "GET", "blobs"))
    proxy.add(Rule(whole, "GET", "blobs"))
    assert fetched(proxy) == CONTENT
    assert len(ranges(proxy)) == 2


def know_no_ranges(proxy: FaultProxy, *mebibytes: int) -> None:
    """Each answer begins at the first byte, and breaks off after so much."""
    headers = {"Content-Length": str(SIZE), "Content-Range": None, "Connection": "close"}
    for number, length in enumerate(mebibytes, 1):
        whole = Rewrite(200, headers, CONTENT[: length << 20])
        proxy.add(Rule(whole, "GET", "blobs", first=number))


def test_sending_more_again_than_anew_is_no_progress(proxy: FaultProxy) -> None:
    know_no_ranges(proxy, 1, 2, 3, 4, 5, 6)
    with (
        http_client(proxy.host, settings=settings_by(FakeClock(), attempts=3)) as client,
        pytest.raises(RegistryUnavailable),
    ):
        list(client.blob_chunks("app", DIGEST, SIZE))
    assert len(ranges(proxy)) == 4


def test_sending_no_more_again_than_anew_is_progress(proxy: FaultProxy) -> None:
    know_no_ranges(proxy, 1, 2, 4, 6)
    with http_client(proxy.host, settings=settings_by(FakeClock(), attempts=2)) as client:
        assert b"".join(client.blob_chunks("app", DIGEST, SIZE)) == CONTENT
    assert len(ranges(proxy)) == 4


def test_another_part_than_asked_is_not_taken(proxy: FaultProxy) -> None:
    wrong = Rewrite(206, {"Content-Range": f"bytes 5-{SIZE - 1}/{SIZE}"})
    proxy.add(Rule(wrong, "GET", "blobs", times=2))
    assert fetched(proxy, offset=1000) == CONTENT[1000:]
    assert len(ranges(proxy)) == 3


def test_a_part_of_another_blob_is_not_taken(proxy: FaultProxy) -> None:
    wrong = Rewrite(206, {"Content-Range": f"bytes 1000-{SIZE}/{SIZE + 1}"})
    proxy.add(Rule(wrong, "GET", "blobs"))
    with pytest.raises(SizeMismatch):
        fetched(proxy, offset=1000)


def test_an_end_before_the_offset_is_another_size(proxy: FaultProxy) -> None:
    proxy.add(Rule(Answer(416), "GET", "blobs"))
    with pytest.raises(SizeMismatch, match="no byte 1000"):
        fetched(proxy, offset=1000)


@pytest.mark.parametrize("size", [SIZE - 1, 1 << 20, 1])
@pytest.mark.parametrize("told", [True, False])
def test_no_byte_too_many_is_passed_on(proxy: FaultProxy, size: int, told: bool) -> None:
    if not told:
        proxy.add(Rule(Rewrite(headers={"Content-Length": None}), "GET", "blobs", times=None))
    seen = 0
    with (
        http_client(proxy.host, settings=settings_by(FakeClock())) as client,
        pytest.raises(SizeMismatch),
    ):
        for chunk in client.blob_chunks("app", DIGEST, size):
            seen += len(chunk)
    assert seen <= size


def test_a_length_need_not_be_told(proxy: FaultProxy) -> None:
    proxy.add(Rule(Rewrite(headers={"Content-Length": None}), "GET", "blobs", times=None))
    assert fetched(proxy) == CONTENT
    assert len(ranges(proxy)) == 1


def test_wrong_bytes_are_found_before_the_last_chunk(proxy: FaultProxy) -> None:
    proxy.add(Rule(FlipByte(2_000_000), "GET", "blobs"))
    seen = 0
    with http_client(proxy.host) as client, pytest.raises(DigestMismatch) as caught:
        for chunk in client.fetch_blob("app", DIGEST, SIZE):
            seen += len(chunk)
    assert seen < SIZE
    assert caught.value.where == f"{proxy.host}/app@{DIGEST}"


def test_a_compressed_answer_is_not_unpacked(proxy: FaultProxy) -> None:
    """Layers are stored compressed; what a header says of them does not matter."""
    labelled = Rewrite(headers={"Content-Encoding": "gzip"})
    proxy.add(Rule(labelled, "GET", "blobs", times=None))
    assert fetched(proxy) == CONTENT


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_waited_for(proxy: FaultProxy, status: int) -> None:
    clock = FakeClock()
    proxy.add(Rule(Answer(status, {"Retry-After": "2"}), "GET", "blobs", times=2))
    assert fetched(proxy, clock) == CONTENT
    assert len(clock.pauses) == 2
    assert all(pause >= 2 for pause in clock.pauses)


@pytest.mark.parametrize("status", [400, 403, 404, 410, 451])
def test_a_refusal_is_not_repeated(proxy: FaultProxy, status: int) -> None:
    clock = FakeClock()
    proxy.add(Rule(Answer(status, {}, b"no"), "GET", "blobs", times=None))
    with pytest.raises(RegistryError):
        fetched(proxy, clock)
    assert clock.pauses == []
    assert len(ranges(proxy)) == 1


def test_a_silence_in_the_middle_is_continued(proxy: FaultProxy, make_proxy: MakeProxy) -> None:
    clock = FakeClock()
    proxy.add(Rule(Hang(), "GET", "blobs"))
    settings = settings_by(clock)
    quick = type(settings)(writes=True, read_timeout=0.5, patience=settings.patience)
    with http_client(proxy.host, settings=quick) as client:
        assert b"".join(client.blob_chunks("app", DIGEST, SIZE)) == CONTENT
    assert len(clock.pauses) == 1


def test_a_reader_may_stop_early(proxy: FaultProxy) -> None:
    with http_client(proxy.host) as client:
        chunks = client.blob_chunks("app", DIGEST, SIZE)
        chunk = next(iter(chunks))
        assert chunk and CONTENT.startswith(chunk)
        chunks.close()  # type: ignore[attr-defined]
        assert client.blob_size("app", DIGEST) == SIZE


def test_storage_elsewhere_is_asked_with_its_signature_only(
    registry: DockerRegistry,
    proxy: FaultProxy,
    make_proxy: MakeProxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Registries redirect blobs to object storage, with a signature in the query."""
    caplog.set_level(logging.DEBUG)
    storage = make_proxy(registry.host, Rule(ResetResponse(2 << 20, False), "GET"))
    target = f"{storage.url}/v2/app/blobs/{DIGEST}?X-Signature=s3cret"
    proxy.add(Rule(Answer(307, {"Location": target}), "GET", "blobs", times=None))
    assert fetched(proxy) == CONTENT
    assert [one.headers.get("range") for one in storage.requests()] == [None, f"bytes={2 << 20}-"]
    assert all("X-Signature=s3cret" in one.path for one in storage.requests())
    assert str(DIGEST) in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_a_signature_that_expired_is_asked_for_anew(
    registry: DockerRegistry, proxy: FaultProxy, make_proxy: MakeProxy, status: int
) -> None:
    storage = make_proxy(registry.host, Rule(Answer(status, {}, b"expired")))
    target = f"{storage.url}/v2/app/blobs/{DIGEST}"
    proxy.add(Rule(Answer(302, {"Location": target}), "GET", "blobs", times=2))
    assert fetched(proxy) == CONTENT
    storage.add(Rule(Answer(status), times=None))
    proxy.add(Rule(Answer(302, {"Location": f"{target}?key=s3cret"}), "GET", "blobs", times=None))
    with pytest.raises(RegistryRejected, match=f"storage at {storage.url}") as caught:
        fetched(proxy)
    assert "s3cret" not in str(caught.value)


def test_a_signature_that_expires_during_the_download_is_asked_for_anew(
    registry: DockerRegistry, proxy: FaultProxy, make_proxy: MakeProxy
) -> None:
    """The first address breaks off and is dead then; the rest comes from a new one."""
    storage = make_proxy(
        registry.host,
        Rule(ResetResponse(2 << 20, False), "GET", "signed=1"),
        Rule(Answer(403), "GET", "signed=1", first=2, times=None),
    )
    for number, turn in enumerate((1, 1, 2), 1):
        location = f"{storage.url}/v2/app/blobs/{DIGEST}?signed={turn}"
        proxy.add(Rule(Answer(307, {"Location": location}), "GET", "blobs", first=number))
    assert fetched(proxy) == CONTENT
    signed = [one.path.rpartition("=")[2] for one in storage.requests()]
    assert signed == ["1", "1", "2"]
    assert storage.requests()[-1].headers["range"] == f"bytes={2 << 20}-"


def test_a_server_whose_tags_change_is_continued(proxy: FaultProxy) -> None:
    """Its ETag is of no interest: the digest says what the blob is."""
    proxy.add(Rule(ResetResponse(2 << 20), "GET", "blobs"))
    proxy.add(Rule(Rewrite(headers={"ETag": '"another"'}), "GET", "blobs", first=2))
    assert fetched(proxy) == CONTENT
