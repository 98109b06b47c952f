"""Group G: full disks, folders that cannot be written, locks, links, clocks and little memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from support.budget import FULL, budget
from support.commands import Finished, Shell
from support.crash_site import NEW, CrashSite
from support.faults import Delay, Hang, Meanwhile, Rule
from support.figures import Figure
from support.in_process import run_here
from support.injection import trace
from support.journey import refused, succeeded, tree_of
from support.judging import Scene, judge_ending, judge_failure, judge_success
from support.large import write_large_bundle
from support.victim import Victim
from support.waiting import wait_until

_MIB = 1 << 20
_PARTS = 3
#: What may fail for want of room, or because of the disk.
_WRITES = "fsync,write,openat,mkdir,mkdirat,ftruncate"
_NOTHING = "nothing was changed"
_UNSEEN = "no tag and no overlay was changed"
_TAGS = "their tags may be set; the overlay was not changed"
_RECORDS = "everything was imported"

#: Folders, and KiB of room in each, too little for an import.
_FEW_ROOMS = [("deploy", 12), ("state", 4)]
_MORE_ROOMS = [("deploy", 4), ("deploy", 20), ("deploy", 32)]
_ROOMS = [*_FEW_ROOMS, *(_MORE_ROOMS if FULL else ())]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount file systems")


def _write_points(site: CrashSite) -> list[tuple[str, int]]:
    """Every call of an honest run that can fail for want of room: its name, and which one it is."""
    traced = trace(site.shell, site.command(), _WRITES, named=True)
    site.judge_healed(traced.done)
    site.reset()
    counts: dict[str, int] = {}
    found = []
    for call in traced.main:
        counts[call.name] = counts.get(call.name, 0) + 1
        about = call.rest.removeprefix(f"AT_FDCWD<{site.folder}>")
        ours = str(site.overlay) in about or str(site.state) in about
        if ours and (call.name != "openat" or "O_CREAT" in call.rest):
            found.append((call.name, counts[call.name]))
    return found


def _judge_full(site: CrashSite, done: Finished, before: Scene, names: Sequence[str]) -> None:
    """Make sure that a run failed in this way, and changed no more than it says."""
    refused(done, 30, *names)
    site.settle()
    site.judge_wreck()
    after = site.scene()
    if _NOTHING in done.err:
        # Sessions may have been opened and closed again, to see whether pushing is allowed.
        assert not site.proxy.requests("PUT|PATCH")
    if _NOTHING in done.err or _UNSEEN in done.err:
        judge_failure(done, before, after, site.signed, late=True)
    elif _TAGS in done.err:
        assert (after.overlay, after.state) == (before.overlay, before.state)
    else:
        assert _RECORDS in done.err
        assert site.deployed() == site.new_deployed
        assert site.essence().tags == site.new.tags


def _try_points(site: CrashSite, part: int, error: str, names: Sequence[str], count: int) -> int:
    """Let so many of the writes fail, one by one; how many that were."""
    points = _write_points(site)[part::_PARTS]
    chosen = [points[n * len(points) // count] for n in range(min(count, len(points)))]
    for call, number in chosen:
        before = site.scene()
        fault = f"{call}:error={error}:when={number}"
        done = trace(site.shell, site.command(), call, fault).done
        _judge_full(site, done, before, names)
        site.proxy.clear()
        site.judge_healed(site.here())
        site.reset()
    return len(chosen)


class TestG05:
    """No room, or a disk that fails, at every write."""

    @pytest.mark.parametrize("part", range(_PARTS))
    def test_no_room_at_any_write(self, site: CrashSite, part: int, figure: Figure) -> None:
        tried = _try_points(site, part, "ENOSPC", ("DiskFull",), budget(1, 10_000))
        assert tried
        figure("writes that found the disk full", tried)

    @pytest.mark.parametrize("error", ["EIO", "EROFS"])
    def test_a_disk_that_fails(self, updated: CrashSite, error: str, figure: Figure) -> None:
        names = ("OverlayNotWritable", "StateNotWritable")
        part = ["EIO", "EROFS"].index(error)
        tried = _try_points(updated, part, error, names, budget(2, 10_000))
        assert tried
        figure("writes that met a failing disk", tried)

    @root_only
    @pytest.mark.parametrize(("place", "room"), _ROOMS)
    def test_a_small_disk(self, site: CrashSite, tmp_path: Path, place: str, room: int) -> None:
        folder, kept = site.folder / place, tmp_path / "kept"
        with _mounted(folder, f"size={room}k"):
            before = site.scene()
            done = site.shell.run(*site.command())
            _judge_full(site, done, before, ("DiskFull",))
            shutil.copytree(folder, kept)
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        site.proxy.clear()
        site.judge_healed(site.here())


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own at a folder, with what was in the folder."""
    aside = folder.with_name(f"{folder.name}.aside")
    had = folder.exists()
    if had:
        shutil.copytree(folder, aside)
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        if had:
            shutil.copytree(aside, folder, dirs_exist_ok=True)
            shutil.rmtree(aside)
        used = sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))
        subprocess.run(["mount", "-o", f"remount,{_more(options, used)}", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _more(options: str, used: int) -> str:
    """The options with a size that leaves so much room beside what is there."""
    if not options.startswith("size="):
        return options
    room = int(options.removeprefix("size=").removesuffix("k"))
    return f"size={room + used // 1024}k"


@root_only
@pytest.mark.parametrize(
    ("place", "name"), [("deploy", "OverlayNotWritable"), ("state", "StateNotWritable")]
)
def test_g07_a_read_only_file_system(updated: CrashSite, place: str, name: str) -> None:
    site = updated
    with _mounted(site.folder / place, "ro"):
        before = site.scene()
        done = refused(site.shell.run(*site.command()), 30, name)
        assert _NOTHING in done.err
        assert site.proxy.mutations() == []
        judge_failure(done, before, site.scene())
    site.reset()
    site.judge_healed(site.here())


@contextmanager
def _at_work(site: CrashSite) -> Iterator[subprocess.Popen[bytes]]:
    """An import that holds its lock and waits for a registry that says nothing."""
    site.proxy.add(Rule(Hang(), "PUT", "/blobs/uploads/"))
    process = site.start()
    try:
        wait_until(lambda: any(one.rule for one in site.proxy.requests()), "the first import")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_g08_two_imports_at_once(updated: CrashSite) -> None:
    site = updated
    with _at_work(site) as first:
        before = site.scene()
        done = refused(site.here(), 31, "Locked")
        assert f"process {first.pid}" in done.err
        assert "wait for it to end" in done.err
        judge_failure(done, before, site.scene())
    site.proxy.clear()
    site.judge_healed(site.here())


def test_g09_the_holder_of_the_lock_is_killed(updated: CrashSite) -> None:
    site = updated
    with _at_work(site) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        site.proxy.clear()
        site.judge_healed(site.here())


@pytest.mark.parametrize("namespace", ["apps", "elsewhere"])
def test_g10_two_applications_at_once(newcomer: CrashSite, namespace: str) -> None:
    """Both have the same images under the same names, and one audit log."""
    site = newcomer
    before = site.scene()
    mail = replace(NEW, predicate={**NEW.predicate, "app": "mail"})
    other = site.add_bundle("mail.tar.zst", mail)
    options = ("--output", "mail", "--image-namespace", namespace)
    arrived: list[str] = []

    def together() -> None:
        """Let the first one wait until the second one is as far."""
        arrived.append("one")
        wait_until(lambda: len(arrived) > 1, "the other import")

    site.proxy.add(Rule(Meanwhile(together), "POST", "/blobs/uploads/", times=2))
    commands = [
        site.command(),
        site.command(*options, bundle=other),
    ]
    with ExitStack() as stack:
        running = [stack.enter_context(site.shell.start(*command)) for command in commands]
        for process in running:
            out, err = process.communicate()
            done = Finished(process.returncode, out.decode(), err.decode())
            judge_success(judge_ending(done), before, site.scene(), site.signed | mail.digests)
    succeeded(site.here())
    assert "already imported" in succeeded(site.here(*options, bundle=other)).out
    assert len((site.state / "audit.jsonl").read_bytes().splitlines()) == 4


def _foreign_file(site: CrashSite) -> None:
    site.overlay.mkdir()
    (site.overlay / "precious.txt").write_text("mine")


def _foreign_overlay(site: CrashSite) -> None:
    (site.overlay / "overlays" / "midstream").mkdir(parents=True)
    (site.overlay / "overlays" / "midstream" / "kustomization.yaml").write_text("resources: []\n")


def _other_application(site: CrashSite) -> None:
    (site.overlay / ".airgap").mkdir(parents=True)
    text = '{"format": 1, "tool": "airgap-import", "app": "mail"}'
    (site.overlay / ".airgap" / "marker.json").write_text(text)


def _a_file(site: CrashSite) -> None:
    site.overlay.write_text("mine")


class TestG13:
    """An overlay folder in which there is something of somebody else."""

    @pytest.mark.parametrize(
        "prepare", [_foreign_file, _foreign_overlay, _other_application, _a_file]
    )
    def test_it_is_left_alone(
        self, newcomer: CrashSite, prepare: Callable[[CrashSite], None]
    ) -> None:
        site = newcomer
        prepare(site)
        before, there = site.scene(), _everything(site.overlay)
        site.proxy.clear()
        done = refused(site.here(), 30, "OverlayNotOurs")
        assert _NOTHING in done.err
        assert site.proxy.mutations() == []
        judge_failure(done, before, site.scene())
        assert _everything(site.overlay) == there

    def test_files_of_the_user_in_our_folder_stay(self, updated: CrashSite) -> None:
        site = updated
        mine = {
            "notes.txt": b"mine",
            "overlays/downstreams/this-cluster/kustomization.yaml": b"bases: [../../midstream]\n",
            "overlays/downstreams/other/patch.yaml": b"mine",
            "overlays/notes.txt": b"mine",
        }
        for name, text in mine.items():
            (site.overlay / name).parent.mkdir(exist_ok=True)
            (site.overlay / name).write_bytes(text)
        succeeded(site.here())
        assert {name: (site.overlay / name).read_bytes() for name in mine} == mine
        assert site.deployed() == site.new_deployed


def _everything(path: Path) -> object:
    return tree_of(path) if path.is_dir() else path.read_bytes()


_MOMENTS = {
    "before it is opened": ("GET", "/v2/$"),
    "with the first blob": ("POST", "/blobs/uploads/"),
    "with the first manifest": ("PUT", "/manifests/sha256"),
    "with the first tag": ("PUT", "/manifests/1$"),
    "with the receipt": ("PUT", "/airgap-receipts/manifests/"),
}


class TestG14:
    """The overlay folder, or the one above it, becomes a link to elsewhere."""

    @pytest.mark.parametrize("above", [False, True], ids=["itself", "its parent"])
    @pytest.mark.parametrize("moment", _MOMENTS)
    def test_nothing_is_written_elsewhere(self, site: CrashSite, moment: str, above: bool) -> None:
        """There is an empty folder, or an overlay of ours: it would be taken."""
        place = site.folder / "parent"
        overlay = place / "deploy" if above else site.overlay
        if above:
            place.mkdir()
            if site.overlay.exists():
                site.overlay.rename(overlay)
        decoy = site.folder / "decoy"
        (decoy / "deploy" if above else decoy).mkdir(parents=True)
        if overlay.exists():
            shutil.copytree(overlay, decoy / "deploy" if above else decoy, dirs_exist_ok=True)
        before = tree_of(decoy)

        def swap() -> None:
            swapped = place if above else overlay
            if swapped.exists():
                swapped.rename(site.folder / "moved")
            swapped.symlink_to(decoy)

        site.proxy.add(Rule(Meanwhile(swap), *_MOMENTS[moment]))
        done = judge_ending(site.here("--output", overlay))

        assert decoy.exists()
        assert tree_of(decoy) == before, "something was written elsewhere"
        if done.code:
            refused(done, 30, "OverlayNotOurs")
            assert "was replaced by something else" in done.err
        else:
            assert moment == "with the receipt", "it looked away"


def _fake_time() -> str:
    """The library that moves the clock of one process (libfaketime)."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed")
    return str(found[0])


@pytest.mark.parametrize("shift", ["-3d", "-20y", "+1y"])
def test_g17_the_clock_is_set_during_the_run(updated: CrashSite, shift: str) -> None:
    """Timeouts go by another clock, and the import is judged by the time at which it began.

    The registry takes its time, but may not ask for a pause: libfaketime breaks the system call by
    which Python sleeps (clock_nanosleep with an absolute time).
    """
    site = updated
    clock = site.folder / "clock"
    clock.write_text("+0")
    variables = {
        "LD_PRELOAD": _fake_time(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    shell = replace(site.shell, variables={**(site.shell.variables or {}), **variables})
    site.proxy.add(Rule(Meanwhile(lambda: clock.write_text(shift)), "POST", "/blobs/uploads/"))
    site.proxy.add(Rule(Delay(0.5), "PUT", "/manifests/sha256"))
    site.judge_healed(shell.run(*site.command()))
    site.judge_healed(site.here())


def test_g18_little_memory(victim: Victim, figure: Figure) -> None:
    size = budget(256 * _MIB, 4 << 30)
    large = write_large_bundle(victim.folder, size)
    before = victim.scene()
    shell = Shell(victim.folder, {"PATH": "/nonexistent"})
    command = shell.command_line(
        *("airgap-import", "apply", large.path, "--key", "vendor.pub", "--output", "deploy"),
        *("--registry-endpoint", victim.proxy.host, "--plain-http", "--image-namespace", "large"),
    )
    limited = ["/usr/bin/env", "prlimit", f"--as={256 * _MIB}", *command]
    done = _run(limited, victim.folder, {**shell.environment, "PATH": os.environ["PATH"]})
    assert judge_success(done, before, victim.scene(), large.signed)
    figure("mebibytes imported within 256 MiB of address space", size // _MIB)


def _run(command: Sequence[str | Path], folder: Path, variables: dict[str, str]) -> Finished:
    """A command in exactly this environment."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return judge_ending(Finished(done.returncode, done.stdout.decode(), done.stderr.decode()))


#: May lie below /tmp, which one of the changes hides.
_CHECKOUT = Path(__file__).resolve().parents[2]
#: Folders of the site under another name, and one of the machine's changed, for one command.
_INSIDE = """
set -e
mount --bind "$1" /mnt
cd /mnt
case "$2" in
full) mount --bind "$3" /srv
    mount -t tmpfs -o size=64k tmpfs /tmp
    mkdir -p "$3"; mount --move /srv "$3"
    cat /dev/zero > /tmp/full 2> /dev/null || true ;;
passwd) mount --bind passwd /etc/passwd; mount --bind nsswitch.conf /etc/nsswitch.conf ;;
esac
shift 3
exec "$@"
"""


def _inside(
    site: CrashSite, change: str, variables: dict[str, str], *options: str, programs: str = "/none"
) -> Finished:
    """Run apply where the site is at /mnt and the machine is changed in this way."""
    command = site.shell.command_line(*site.command(*options))
    environment = {
        name: value
        for name, value in site.shell.environment.items()
        if name not in ("HOME", "AIRGAP_STATE_DIR")
    }
    changed = ["/bin/sh", "-c", _INSIDE, "inside", str(site.folder), change, str(_CHECKOUT)]
    # Only the command itself is without programs.
    line = ["unshare", "-m", *changed, "/usr/bin/env", f"PATH={programs}", *command]
    environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **variables}
    return _run(line, site.folder, environment)


def _write_users(site: CrashSite, text: str) -> None:
    """All users that there are."""
    (site.folder / "passwd").write_text(text)
    (site.folder / "nsswitch.conf").write_text("passwd: files\n")


@root_only
class TestG19:
    """No room for temporary files, no home folder."""

    @pytest.mark.parametrize("programs", ["/none", os.environ["PATH"]], ids=["own", "kubectl"])
    def test_no_temporary_files(self, updated: CrashSite, programs: str) -> None:
        site = updated
        variables = {"AIRGAP_STATE_DIR": "/mnt/state", "TMPDIR": "/nonexistent"}
        done = _inside(site, "full", variables, programs=programs)
        if programs == "/none":
            site.judge_healed(done)
        else:
            succeeded(done)
            assert site.deployed() == site.new_deployed

    @pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "here"}], ids=str)
    def test_no_home(self, updated: CrashSite, home: dict[str, str]) -> None:
        site = updated
        site.judge_healed(_inside(site, "", home, "--state-dir", "state"))

    def test_the_home_is_that_of_the_user(self, updated: CrashSite) -> None:
        site = updated
        _write_users(site, "root:x:0:0:root:/mnt/home:/bin/sh\n")
        succeeded(_inside(site, "passwd", {}))
        assert site.deployed() == site.new_deployed
        kept = site.folder / "home" / ".local" / "state" / "airgap-import"
        assert (kept / "audit.jsonl").is_file()
        assert len(list(kept.glob("*/shop/state.json"))) == 1

    def test_nobody_has_a_home(self, updated: CrashSite) -> None:
        site = updated
        _write_users(site, "")
        before = site.scene()
        done = refused(_inside(site, "passwd", {}), 2, "UsageError")
        assert "--state-dir" in done.err
        assert site.proxy.requests() == []
        judge_failure(done, before, site.scene())
        assert not Path("/nonexistent").exists()
        site.judge_healed(_inside(site, "passwd", {}, "--state-dir", "state"))


class TestG20:
    """A link to elsewhere stands where the mirror configurations go, or where they are begun."""

    @pytest.mark.parametrize("name", ["mirrors", "mirrors.partial"])
    @pytest.mark.parametrize("later", [False, True], ids=["apply", "mirrors"])
    def test_nothing_is_written_elsewhere(self, updated: CrashSite, name: str, later: bool) -> None:
        site = updated
        decoy = site.folder / "decoy"
        (decoy / "crio").mkdir(parents=True)
        (decoy / "crio" / "registries.conf").write_text("mine")
        before = tree_of(decoy)
        (site.overlay / ".airgap" / name).symlink_to(decoy)
        if later:
            command = ("airgap-import", "mirrors", "deploy", "--kind", "all", "--write")
            succeeded(run_here(site.folder, *command))
        else:
            succeeded(site.here("--mirror-config", "all"))
        assert tree_of(decoy) == before
        written = site.overlay / ".airgap" / "mirrors"
        assert written.is_dir() and not written.is_symlink()
        assert (written / "crio" / "registries.conf").read_text() != "mine"
        assert not (site.overlay / ".airgap" / "mirrors.partial").is_symlink()
