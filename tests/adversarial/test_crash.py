"""Group G: killed, interrupted or cut off at every step; the same command again ends well."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import power_cut
from support.budget import budget
from support.commands import Finished
from support.crash_site import CrashSite, release
from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy, Recorded
from support.faults import Action, Hang, Meanwhile, ResetRequest, Rule
from support.figures import Figure
from support.injection import trace
from support.journey import succeeded
from support.judging import error_name, judge_ending, judge_failure
from support.tally import TALLY, Zero
from support.waiting import wait_until

_CALLS = (
    "fsync,fdatasync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,rmdir,unlink,unlinkat,"
    "openat,write,pwrite64,ftruncate,sendto"
)
_PARTS = 4
_SECONDS = 5
_MIB = 1 << 20
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_OURS = ("deploy", "state")
_TAG = "/manifests/1$"
_RECEIPT = "/airgap-receipts/manifests/"
Running = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class KillPoint:
    """The ``number``-th system call of this name in the main thread."""

    call: str
    number: int


def _kill_points(site: CrashSite) -> list[KillPoint]:
    """Every call of an honest run by which something lasts, or is told to the registry."""
    traced = trace(site.shell, site.command(), _CALLS, named=True)
    site.judge_healed(traced.done)
    site.reset()
    counts: dict[str, int] = {}
    found: list[KillPoint] = []
    for call in traced.main:
        counts[call.name] = counts.get(call.name, 0) + 1
        if call.name == "sendto" or _is_inside(site, call.rest):
            found.append(KillPoint(call.name, counts[call.name]))
    return found


def _is_inside(site: CrashSite, rest: str) -> bool:
    """Whether a call is about the overlay or the state."""
    about = rest.removeprefix(f"AT_FDCWD<{site.folder}>")
    return any(str(place) in about for place in (site.overlay, site.state)) or '"deploy' in about


def _spread(points: Sequence[KillPoint], part: int, count: int) -> list[KillPoint]:
    """So many of the points, evenly, and all parts together all of them."""
    own = points[part::_PARTS]
    return [own[number * len(own) // count] for number in range(min(count, len(own)))]


@pytest.mark.parametrize("part", range(_PARTS))
def test_g01_killed_at_any_system_call(site: CrashSite, part: int, figure: Figure) -> None:
    points = _spread(_kill_points(site), part, budget(1, 10_000))
    for point in points:
        kill = f"{point.call}:signal=SIGKILL:when={point.number}"
        traced = trace(site.shell, site.command(), point.call, kill)
        assert traced.killed, point
        site.settle()
        site.judge_wreck()
        site.judge_healed(site.here())
        site.reset()
    assert points
    figure("kill points in apply", len(points))


@contextmanager
def _started(site: CrashSite, *options: str, through: Sequence[str] = ()) -> Iterator[Running]:
    process = site.start(*options, through=through)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _ended(process: Running, seconds: float = _SECONDS) -> Finished:
    """How it ended, which it has to do in so many seconds."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        TALLY.violate(Zero.CRASHED, "an import did not end after a signal")
        pytest.fail(f"it did not end within {seconds} s")
    done = Finished(process.returncode, (out or b"").decode(), (err or b"").decode())
    TALLY.end(done.code, done.out, done.err)
    return judge_ending(done)


def _kill_at_request(site: CrashSite, number: int) -> None:
    """The request is carried out, but nobody is there any more to hear of it."""
    with _started(site) as process:
        site.proxy.add(Rule(Meanwhile(process.kill), first=number))
        assert process.wait() == -signal.SIGKILL
    site.settle()


def test_g01_killed_at_any_request(updated: CrashSite, figure: Figure) -> None:
    """Workers send them: strace counts thread by thread, a proxy counts them all."""
    site = updated
    site.proxy.clear()
    succeeded(site.here())
    count = len(site.proxy.requests())
    tried = budget(4, count)
    for number in (n * count // tried + 1 for n in range(tried)):
        site.reset()
        _kill_at_request(site, number)
        site.judge_wreck()
        site.judge_healed(site.here())
    figure("kill points in apply", tried)


@pytest.mark.parametrize("part", range(2))
def test_g02_killed_at_any_byte(
    tmp_path: Path,
    registry: DockerRegistry,
    make_proxy: MakeProxy,
    part: int,
    figure: Figure,
) -> None:
    site = CrashSite(tmp_path, registry, make_proxy(registry.host), (None, release(3, 2 * _MIB)))
    lengths = [one.body_length for one in _bodies(site, site.here)]
    total = sum(lengths)
    tried = budget(2, 50, promised=True)
    for number in range(tried):
        site.reset()
        at = (2 * number + part) * total // (2 * tried)
        _kill_at_byte(site, lengths, at)
        site.judge_wreck()
        stored = sum(site.registry.storage.blobs()[one] for one in _stored_layers(site))
        again = sum(one.body_length for one in _bodies(site, site.here))
        assert again <= total - stored, "what had arrived was sent again"
        assert again <= total - at + max(lengths), "more than was under way was sent again"
        site.judge_healed(site.here())
    figure("kill points in the transfer", tried)


def _stored_layers(site: CrashSite) -> set[str]:
    return {digest for _, digest in site.registry.storage.layer_links()}


def _bodies(site: CrashSite, run: Callable[[], Finished]) -> list[Recorded]:
    """The blobs that an import sends."""
    site.proxy.clear()
    succeeded(run())
    return site.proxy.requests("PUT", "/blobs/uploads/.*digest=")


def _kill_at_byte(site: CrashSite, lengths: Sequence[int], at: int) -> None:
    """Kill when so many bytes of blobs have gone through, one blob after the other."""
    number = 1
    for length in lengths:
        if at < length:
            break
        at -= length
        number += 1
    with _started(site) as process:
        cut = ResetRequest(at, process.kill)
        site.proxy.add(Rule(cut, "PUT", "/blobs/uploads/.*digest=", number))
        assert process.wait() == -signal.SIGKILL
    site.settle()


def _interrupted(site: CrashSite, rule: Rule) -> Finished:
    """Start an import, have it hang by the rule, and press Ctrl-C."""
    with _started(site) as process:
        site.proxy.add(rule)
        wait_until(lambda: any(one.rule for one in site.proxy.requests()), "a request that hangs")
        process.send_signal(signal.SIGINT)
        return _ended(process)


_HANGING = {
    "a blob": Rule(Hang(), "PUT", "/blobs/uploads/", times=None),
    "a manifest": Rule(Hang(), "PUT", "/manifests/sha256", times=None),
    "a question": Rule(Hang(), "GET", "/manifests/", times=None),
}


class TestG03:
    """Ctrl-C."""

    @pytest.mark.parametrize("where", _HANGING)
    def test_it_ends_and_leaves_no_upload_open(self, updated: CrashSite, where: str) -> None:
        site = updated
        before = site.scene()

        done = _interrupted(site, _HANGING[where])

        assert done.code == 130
        assert error_name(done) == "Interrupted"
        assert "no tag and no overlay was changed" in done.err or "nothing was changed" in done.err
        site.settle()
        judge_failure(done, before, site.scene(), site.signed)
        assert site.registry.storage.open_uploads() == 0
        site.judge_wreck()
        site.proxy.clear()
        site.judge_healed(site.here())

    def test_pressed_again_and_again(self, updated: CrashSite) -> None:
        """Even among the last steps, which one signal lets come to their end."""
        site = updated
        with _started(site) as process:
            site.proxy.add(Rule(Hang(), "PUT", _TAG, times=None))
            wait_until(lambda: any(one.rule for one in site.proxy.requests()), "a hanging request")
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
            done = _ended(process)
        assert done.code == 130
        site.settle()
        site.judge_wreck()
        assert site.deployed() == site.old_deployed
        site.proxy.clear()
        site.judge_healed(site.here())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _signalled_at(site: CrashSite, method: str, path: str, number: signal.Signals) -> Finished:
    """An import that gets a signal while a request is under way, which is then answered."""
    with _started(site) as process:
        rule = Rule(Meanwhile(lambda: process.send_signal(number)), method, path)
        site.proxy.add(rule)
        return _ended(process, 60)


class TestG04:
    """Other signals, and outputs that are closed."""

    @pytest.mark.parametrize("number", _CODES)
    def test_before_anything_can_be_seen(self, updated: CrashSite, number: signal.Signals) -> None:
        site = updated
        before = site.scene()
        done = _signalled_at(site, "PUT", "/blobs/uploads/", number)
        assert done.code == _CODES[number]
        site.settle()
        judge_failure(done, before, site.scene(), site.signed)
        assert site.registry.storage.open_uploads() == 0
        site.proxy.clear()
        site.judge_healed(site.here())

    @pytest.mark.parametrize(
        ("path", "number"),
        [(_TAG, signal.SIGINT), (_RECEIPT, signal.SIGTERM), (_RECEIPT, signal.SIGHUP)],
        ids=["tags", "receipt", "receipt, hangup"],
    )
    def test_the_last_steps_come_to_their_end(
        self, updated: CrashSite, path: str, number: signal.Signals
    ) -> None:
        site = updated
        done = _signalled_at(site, "PUT", path, number)
        assert done.code == _CODES[number]
        assert "everything was imported, the overlay was replaced, and all is recorded" in done.err
        assert site.essence() == site.new
        assert site.deployed() == site.new_deployed
        events = [json.loads(line)["ev"] for line in _lines(site.state / "audit.jsonl")]
        assert events == ["imported", "imported"], "it did not stop before its end"
        site.proxy.clear()
        site.judge_healed(site.here())

    @pytest.mark.parametrize(
        ("path", "told"),
        [(_TAG, "their tags may be set; the overlay was not"), (_RECEIPT, "only records are")],
        ids=["tags", "receipt"],
    )
    def test_the_last_steps_do_not_take_for_ever(
        self, updated: CrashSite, path: str, told: str
    ) -> None:
        site = updated
        with _started(site) as process:
            site.proxy.add(Rule(Hang(), "PUT", path, times=None))
            wait_until(lambda: any(one.rule for one in site.proxy.requests()), "a hanging request")
            process.send_signal(signal.SIGTERM)
            done = _ended(process, 4 * _SECONDS)
        assert done.code == 143
        assert told in done.err
        site.settle()
        site.judge_wreck()
        site.proxy.clear()
        site.judge_healed(site.here())

    def test_a_hangup_does_not_reach_what_was_told_to_ignore_it(self, updated: CrashSite) -> None:
        site = updated
        with _started(site, through=[shutil.which("nohup") or "nohup"]) as process:
            rule = Rule(Meanwhile(lambda: process.send_signal(signal.SIGHUP)), "PUT", "/blobs/")
            site.proxy.add(rule)
            site.judge_healed(_ended(process, 60))

    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    def test_a_pipe_that_nobody_reads(self, updated: CrashSite, stream: str) -> None:
        site = updated
        with _started(site) as process:
            pipe = getattr(process, stream)
            pipe.close()
            setattr(process, stream, None)
            site.judge_healed(_ended(process, 60))

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_streams_that_are_closed_from_the_beginning(
        self, updated: CrashSite, closed: str
    ) -> None:
        site = updated
        with _started(site, through=["/bin/sh", "-c", f'exec "$0" "$@" {closed}']) as process:
            site.judge_healed(_ended(process, 60))

    def test_a_failure_that_nobody_hears_of(self, updated: CrashSite) -> None:
        site = updated
        (site.folder / "vendor.pub").write_text("no key")
        for closed in (">&- 2>&-", "2>&-"):
            with _started(site, through=["/bin/sh", "-c", f'exec "$0" "$@" {closed}']) as process:
                process.communicate()
                assert process.returncode == 2
        with _started(site) as process:
            assert process.stderr is not None
            process.stderr.close()
            process.stderr = None
            process.communicate()
            assert process.returncode == 2


@pytest.mark.parametrize("kill", [Meanwhile, lambda happens: ResetRequest(0, happens)])
def test_g16_killed_between_tags_and_receipt(
    updated: CrashSite, kill: Callable[[Callable[[], None]], Action]
) -> None:
    site = updated
    with _started(site) as process:
        site.proxy.add(Rule(kill(process.kill), "PUT", _RECEIPT))
        assert process.wait() == -signal.SIGKILL
    site.settle()
    site.judge_wreck()
    assert site.essence().tags == site.new.tags
    site.proxy.clear()

    site.judge_healed(site.here())

    sent = [one for one in site.proxy.mutations() if one.method == "PUT"]
    assert all("/airgap-receipts/" in one.path for one in sent), "something else was sent again"
    (current,) = (
        digest
        for (repository, tag), digest in site.registry.storage.all_tags().items()
        if repository.endswith("/airgap-receipts") and tag == "shop_stable"
    )
    receipt = json.loads(site.registry.storage.read_blob(current))["annotations"]
    assert json.loads(receipt["dev.airgap-bundle.receipt"])["version"] == "2.0.0"


def test_g15_a_power_cut_at_any_moment(site: CrashSite, figure: Figure) -> None:
    """As support.power_cut has it: what was not synced is there or not, each part for itself."""
    chance = random.Random(15)  # noqa: S311
    before = power_cut.read_tree(site.folder)
    traced = trace(site.shell, site.command(), power_cut.CALLS, named=True)
    site.judge_healed(traced.done)
    recording = power_cut.Recording(site.folder, before)
    seen: dict[str, power_cut.Tree] = {}
    for tree in recording.states(traced.main, budget(1, 40), chance):
        both = {name: value for name, value in tree.items() if name in _OURS}
        seen.setdefault(repr(both), both)
    assert recording.now == power_cut.read_tree(site.folder), "the model is wrong"

    states = [*seen.values()]
    judged = chance.sample(states, min(len(states), budget(100, 1_000_000)))
    for both in judged:
        _put(site, both)
        site.judge_local()
    for both in chance.sample(states, budget(3, 60)):
        site.reset()
        _put(site, both)
        site.judge_healed(site.here())
    figure("states of the disk after a power cut", len(judged))


def _put(site: CrashSite, both: power_cut.Tree) -> None:
    for name in _OURS:
        shutil.rmtree(site.folder / name, ignore_errors=True)
        value = both.get(name)
        if isinstance(value, dict):
            power_cut.write_tree(site.folder / name, value)
