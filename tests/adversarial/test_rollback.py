"""Group H: bundles that are properly signed, but old, of another release, or out of time."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airgap_importer.history import auditlog
from support.commands import Finished, Shell
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.faults import Answer, Meanwhile, Rule
from support.hostile import Draft, Key, pack
from support.images import make_image
from support.import_site import PAST, Site, release_image, shop_release
from support.in_process import run_here
from support.journey import deployment, refused, succeeded
from support.mounting import mounted
from support.policies import app_entry, policy_of, write_policy
from support.pushing import push_image
from support.victim import Victim

pytestmark = pytest.mark.usefixtures("own_renderer")

_YEAR_2030 = {"created": "2030-01-01T00:00:00Z", "expires": "2031-01-01T00:00:00Z"}


@pytest.fixture
def site(victim: Victim, key: Key) -> Site:
    return Site(victim, key)


class TestH01:
    """The same bundle again."""

    def test_nothing_is_sent_twice(self, site: Site) -> None:
        release = shop_release("1.5.2", 15)
        assert "already" not in succeeded(site.apply(release)).out
        before = site.everything()
        site.victim.proxy.clear()

        again = succeeded(site.apply(release))

        assert again.out.startswith("already imported shop 1.5.2")
        assert site.victim.proxy.mutations() == []
        registry, _, _ = site.everything()
        assert registry == before[0]

    def test_even_on_a_host_that_forgot(self, site: Site) -> None:
        release = shop_release("1.5.2", 15)
        succeeded(site.apply(release))
        site.other_host()
        site.victim.proxy.clear()
        done = succeeded(site.apply(release, "--format", "json"))
        assert json.loads(done.out)["alreadyImported"] is True
        assert site.victim.proxy.mutations() == []

    def test_signed_again_it_is_still_the_same(self, site: Site) -> None:
        """ECDSA signatures differ from time to time; what counts is what is signed."""
        release = shop_release("1.5.2", 15)
        first, second = release.pack(site._key), release.pack(site._key)
        assert first != second
        succeeded(site.apply(release))
        assert succeeded(site.apply(release)).out.startswith("already imported")


class TestH02:
    """An older release."""

    def test_is_refused(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        done = site.refuses(shop_release("1.4.0", 12), "RollbackDetected")
        assert "shop 1.4.0 (seq 12) is older than imported 1.5.2 (seq 15)" in done.err

    def test_is_refused_by_the_receipt_in_the_registry(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        site.other_host()
        before = site.victim.registry.storage.snapshot()
        site.victim.proxy.clear()
        done = refused(site.apply(shop_release("1.4.0", 12)), 12, "RollbackDetected")
        assert "remembered by the registry" in done.err
        assert site.victim.proxy.mutations() == []
        assert site.victim.registry.storage.snapshot() == before
        assert not site.overlay.exists()

    def test_a_registry_that_forgot_lowers_nothing(
        self, site: Site, proxied: tuple[DockerRegistry, FaultProxy]
    ) -> None:
        registry, _ = proxied
        succeeded(site.apply(shop_release("1.5.2", 15)))
        registry.stop()
        shutil.rmtree(registry.storage.root)
        registry.start()
        site.refuses(shop_release("1.4.0", 12), "RollbackDetected")
        succeeded(site.apply(shop_release("1.5.2", 15)))

    def test_a_dry_run_tells(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        site.refuses(shop_release("1.4.0", 12), "RollbackDetected", "--dry-run")

    def test_going_back_on_purpose(self, site: Site) -> None:
        old, new = shop_release("1.4.0", 12), shop_release("1.5.2", 15)
        succeeded(site.apply(old))
        succeeded(site.apply(new))
        for wrong in ("11", "13", "15"):
            site.refuses(old, "RollbackDetected", "--allow-rollback", wrong)
        succeeded(site.apply(old, "--allow-rollback", "12"))
        receipt = json.loads((site.overlay / ".airgap" / "receipt.json").read_text())
        assert receipt["step"] == "rollback"
        assert "--allow-rollback 12" in receipt["agreed"]
        # It is the newest now, here and for others, and can be repeated without a flag.
        succeeded(site.apply(old))
        site.refuses(shop_release("1.3.0", 9), "RollbackDetected")
        site.other_host()
        succeeded(site.apply(old))
        succeeded(site.apply(shop_release("1.6.0", 16)))

    def test_a_newer_one_comes_while_an_older_one_is_pushed(self, site: Site, key: Key) -> None:
        """Two hosts: the receipt is read again before anything can be seen."""
        old, new = shop_release("1.4.0", 12), shop_release("1.5.2", 15)
        victim = site.victim
        other = victim.folder / "other host"
        other.mkdir()
        shutil.copy(victim.folder / "vendor.pub", other)
        (other / "newer.tar.zst").write_bytes(new.pack(key))

        def import_newer() -> None:
            done = Shell(other).run(
                *("airgap-import", "apply", "newer.tar.zst", "--key", "vendor.pub"),
                *("--registry-endpoint", victim.registry.host, "--output", "deploy"),
                *("--image-namespace", site.namespace),
            )
            outcomes.append(done)

        outcomes: list[Finished] = []
        victim.proxy.add(Rule(Meanwhile(import_newer), "PUT", "/manifests/sha256"))
        done = site.apply(old)
        succeeded(outcomes[0])
        refused(done, 12, "RollbackDetected")
        assert (
            victim.registry.storage.tags(f"{site.namespace}/app")["1"]
            == release_image("1.5.2").digest
        )
        assert not (site.overlay / "overlays").exists()


def test_two_releases_of_one_sequence(site: Site) -> None:
    succeeded(site.apply(shop_release("1.5.2", 15)))
    other = shop_release("1.5.2-evil", 15)
    for consent in ((), ("--allow-rollback", "15"), ("--allow-sequence-jump", "15")):
        done = site.refuses(other, "Equivocation", *consent)
        assert "has the sequence 15 of imported 1.5.2" in done.err


class TestH04:
    """A bundle past its time."""

    def test_is_refused(self, site: Site) -> None:
        site.refuses(shop_release("1.5.2", 15, **PAST), "BundleExpired")
        refused(
            site.victim.verify(shop_release("1.5.2", 15, **PAST).pack(site._key)),
            12,
            "BundleExpired",
        )

    def test_the_clock_of_the_machine_decides(self, site: Site) -> None:
        draft = shop_release("1.5.2", 15, expires="2026-06-30T00:00:00Z")
        refused(_verify_at(site, draft, "2026-07-01"), 12, "BundleExpired")
        succeeded(_verify_at(site, draft, "2026-06-29"))

    def test_a_time_that_was_given_is_recorded(self, site: Site) -> None:
        old = shop_release("1.5.2", 15, **PAST)
        succeeded(site.apply(old, "--now", "2025-06-01T12:00:00Z"))
        receipt = json.loads((site.overlay / ".airgap" / "receipt.json").read_text())
        assert receipt["accepted"] == "2025-06-01T12:00:00Z"
        assert "--now 2025-06-01T12:00:00Z" in receipt["agreed"]

    @pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "2026-01-01 00:00", "0"])
    def test_a_time_that_is_none(self, site: Site, time: str) -> None:
        site.refuses(shop_release("1.5.2", 15), "UsageError", "--now", time, code=2)


class TestH05:
    """A bundle from the future."""

    def test_is_refused(self, site: Site) -> None:
        done = site.refuses(shop_release("9.9", 15, **_YEAR_2030), "ClockSkew")
        assert "2030-01-01" in done.err
        assert "this machine's clock says 20" in done.err

    def test_a_clock_that_stands_still_is_named(self, site: Site) -> None:
        refused(_verify_at(site, shop_release("1.5.2", 15), "1970-01-02"), 12, "ClockSkew")


class TestH06:
    """A clock that is behind an earlier import."""

    def test_is_refused(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        newer = shop_release("1.6.0", 16, created="2020-01-01T00:00:00Z")
        site.refuses(newer, "ClockWentBackwards", "--now", "2021-01-01")
        succeeded(site.apply(newer))

    def test_the_given_time_is_not_remembered(self, site: Site) -> None:
        """Somebody who mistypes the year must not be locked out until then."""
        far = shop_release("1.5.2", 15)
        succeeded(site.apply(far, "--now", "2090-01-01"))
        succeeded(site.apply(shop_release("1.6.0", 16)))


class TestH07:
    """A sequence after which nothing could follow."""

    def test_is_refused_unless_confirmed(self, site: Site) -> None:
        last = 2**63 - 1
        succeeded(site.apply(shop_release("1.5.2", 15)))
        site.refuses(shop_release("9.9", last), "SequenceJump")
        site.refuses(shop_release("9.9", last), "SequenceJump", "--allow-sequence-jump", "16")
        succeeded(site.apply(shop_release("9.9", last), "--allow-sequence-jump", str(last)))

    def test_and_the_way_back(self, site: Site) -> None:
        last = 2**63 - 1
        succeeded(site.apply(shop_release("9.9", last), "--allow-sequence-jump", str(last)))
        good = shop_release("1.6.0", 16)
        site.refuses(good, "RollbackDetected")
        succeeded(site.apply(good, "--allow-rollback", "16"))
        succeeded(site.apply(shop_release("1.7.0", 17)))


class TestH08:
    """Another application than was asked for, or another channel."""

    def test_another_application(self, site: Site) -> None:
        site.refuses(shop_release("1.5.2", 15, app="mail"), "AppMismatch", "--app", "shop")
        succeeded(site.apply(shop_release("1.5.2", 15), "--app", "shop"))

    def test_another_channel_than_before(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        beta = shop_release("1.6.0-b1", 16, channel="beta")
        done = site.refuses(beta, "AppMismatch")
        assert "--channel 'beta'" in done.err
        site.refuses(beta, "AppMismatch", "--channel", "stable")
        succeeded(site.apply(beta, "--channel", "beta"))
        # Each has a memory of its own.
        succeeded(site.apply(shop_release("1.5.3", 16)))
        site.refuses(shop_release("1.6.0-b0", 14, channel="beta"), "RollbackDetected")


class TestH09:
    """Parts of two releases."""

    @pytest.mark.parametrize("keep", [1, 2, 3])
    def test_are_told_apart(self, site: Site, key: Key, keep: int) -> None:
        old, new = shop_release("1.4.0", 12).segments(key), shop_release("1.5.2", 15).segments(key)
        names = ("BundleCorrupt", "MemberMismatch", "TrailingData", "DigestMismatch")
        site.victim.resists(pack([*new[:keep], *old[keep:]]), (10, 13), *names)


class TestH10:
    """A tag in the target that names something else."""

    @pytest.fixture
    def draft(self) -> Draft:
        images = {f"docker.io/team/app{n}:1": release_image(str(n)) for n in range(5)}
        return Draft.of(images, {"app.yaml": deployment("web", *images)})

    @pytest.mark.parametrize("taken", range(5))
    def test_stops_everything_before_it_begins(
        self, site: Site, key: Key, draft: Draft, taken: int
    ) -> None:
        victim = site.victim
        repository = f"{site.namespace}/app{taken}"
        push_image(victim.registry.host, repository, "1", make_image([b"mine"]))
        before = victim.registry.storage.snapshot()
        victim.proxy.clear()
        done = victim.apply(draft.pack(key), "--image-namespace", site.namespace)
        refused(done, 23, "TagConflict")
        assert f"{repository}:1 is sha256:" in done.err
        assert victim.proxy.mutations() == []
        assert victim.registry.storage.snapshot() == before
        assert not site.overlay.exists()


def test_h13_another_prefix_has_its_own_history(site: Site) -> None:
    succeeded(site.apply(shop_release("1.5.2", 15)))
    elsewhere = Site(site.victim, site._key)
    succeeded(elsewhere.apply(shop_release("1.4.0", 12)))
    site.refuses(shop_release("1.4.0", 12), "RollbackDetected")


def test_h14_what_was_verified_is_verified_again(site: Site, victim: Victim, key: Key) -> None:
    good = shop_release("1.5.2", 15).pack(key)
    succeeded(victim.verify(good))
    stranger = shop_release("1.5.2", 15).pack(Key())
    damaged = good[:-600] + bytes([good[-600] ^ 1]) + good[-599:]
    victim.resists(stranger, 11, "KeyUntrusted")
    names = ("BundleCorrupt", "DigestMismatch", "BadPadding")
    victim.resists(damaged, (10, 13), *names, signed=shop_release("1.5.2", 15).digests)


class TestH15:
    """Nobody brings anything newer."""

    def _status(self, site: Site, *options: str) -> Finished:
        return run_here(site.victim.folder, "airgap-import", "status", *options)

    def test_status_tells(self, site: Site) -> None:
        assert "nothing was imported" in succeeded(self._status(site)).out
        succeeded(self._status(site, "--fail-stale"))
        succeeded(site.apply(shop_release("1.5.2", 15)))
        fresh = succeeded(self._status(site, "--fail-stale", "--format", "json"))
        (one,) = json.loads(fresh.out)["applications"]
        assert (one["app"], one["sequence"], one["stale"]) == ("shop", 15, None)

        done = refused(self._status(site, "--fail-stale", "--max-age-days", "3"), 12, "BundleStale")
        assert "shop in" in done.err
        assert "STALE" in succeeded(self._status(site, "--max-age-days", "3")).out

    def test_older_than_the_policy_allows(
        self, site: Site, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        folder, key = tmp_path_factory.mktemp("etc"), Key()
        for name, code in (("shop", 12), ("other", 0)):
            app = app_entry(key, name=name, max_age_days=3)
            policy = write_policy(folder, policy_of([key], app))
            done = self._status(site, "--fail-stale", "--policy", str(policy))
            assert done.code == code, done.err

    def test_a_bundle_that_expired_since(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15, **PAST), "--now", "2025-06-01"))
        refused(self._status(site, "--fail-stale"), 12, "BundleStale")


class TestMemories:
    """A memory that is damaged is no empty memory."""

    @pytest.fixture
    def damaged(self, site: Site) -> Iterator[Path]:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        (path,) = site.state.glob("*/shop/state.json")
        yield path

    def _rebuild(self, site: Site, namespace: str = "") -> Finished:
        return run_here(
            site.victim.folder,
            *("airgap-import", "state", "rebuild", "--app", "shop", "--plain-http"),
            *("--registry-endpoint", site.victim.proxy.host),
            *("--image-namespace", namespace or site.namespace),
        )

    @pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\x00" * 100, b'{"format": 2}'])
    def test_g12_is_named(self, site: Site, damaged: Path, content: bytes) -> None:
        damaged.write_bytes(content)
        done = site.refuses(shop_release("1.6.0", 16), "StateCorrupt", code=32)
        assert ("newer airgap-import" if b"2" in content else "state rebuild") in done.err

    def test_a_map_of_a_later_version_is_not_taken_for_ours(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        path = site.overlay / ".airgap" / "relocation.json"
        later = json.dumps({**json.loads(path.read_text()), "format": 99})
        path.write_text(later)
        done = site.refuses(shop_release("1.6.0", 16), "StateCorrupt", code=32)
        assert "newer airgap-import" in done.err
        assert path.read_text() == later

    def test_is_made_again_from_the_registry(self, site: Site, damaged: Path) -> None:
        whole = json.loads(damaged.read_text())["channels"]
        damaged.write_bytes(b"torn")
        succeeded(self._rebuild(site))
        assert json.loads(damaged.read_text())["channels"] == whole
        assert damaged.with_name("state.json.damaged").read_bytes() == b"torn"
        site.refuses(shop_release("1.4.0", 12), "RollbackDetected")
        # What is known here and newer is not lowered.
        document = json.loads(damaged.read_text())
        document["channels"]["stable"]["sequence"] = 99
        damaged.write_text(json.dumps(document))
        assert "sequence 99" in succeeded(self._rebuild(site)).out

    def test_is_still_damaged_where_making_it_again_fails(self, site: Site, damaged: Path) -> None:
        damaged.write_bytes(b"torn")
        # Nothing else can be written: the new state would be larger than any file may be.
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            done = self._rebuild(site)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            signal.signal(signal.SIGXFSZ, handler)
        refused(done, 30, "DiskFull")
        assert "second name" in done.err
        assert damaged.read_bytes() == b"torn"
        assert damaged.with_name("state.json.damaged").read_bytes() == b"torn"
        site.refuses(shop_release("1.4.0", 12), "StateCorrupt", code=32)
        succeeded(self._rebuild(site))
        site.refuses(shop_release("1.4.0", 12), "RollbackDetected")

    def test_a_folder_in_its_place_is_set_aside(self, site: Site, damaged: Path) -> None:
        damaged.unlink()
        damaged.mkdir()
        succeeded(self._rebuild(site))
        assert damaged.with_name("state.json.damaged").is_dir()
        site.refuses(shop_release("1.4.0", 12), "RollbackDetected")

    def test_folders_that_are_not_ours_are_none(self, site: Site, damaged: Path) -> None:
        (site.state / "lost+found" / "x" / "state.json").mkdir(parents=True)
        shutil.copytree(damaged.parents[1], site.state / f"{damaged.parents[1].name}.bak")
        for command in (("status",), ("audit",), ("state", "reset-clock")):
            succeeded(run_here(site.victim.folder, "airgap-import", *command))
        copied = site.state / f"{damaged.parents[1].name}.bak" / "shop" / "state.json"
        copied.write_bytes(b"torn")
        assert "1.5.2" in succeeded(run_here(site.victim.folder, "airgap-import", "status")).out

    def test_nothing_to_make_it_from(self, site: Site) -> None:
        refused(self._rebuild(site, "nowhere"), 2, "UsageError")

    def test_a_receipt_that_is_none(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        host, repository = site.victim.registry.host, f"{site.namespace}/airgap-receipts"
        push_image(host, repository, "shop_stable", make_image([b"not a receipt"]))
        done = site.refuses(shop_release("1.6.0", 16), "RegistryIntegrity", code=24)
        assert "airgap-receipts:shop_stable" in done.err


def test_an_import_that_fails_on_a_full_disk_is_in_the_audit_log(
    site: Site, tmp_path: Path
) -> None:
    with mounted(tmp_path / "memory", "size=2m") as memory:

        def fill() -> None:
            with suppress(OSError), (memory / "filler").open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass

        site.victim.proxy.add(Rule(Meanwhile(fill), "PUT", "/blobs/uploads/"))
        site.victim.proxy.add(Rule(Answer(403), "PUT", "/manifests/", times=None))
        done = site.apply(shop_release("1.5.2", 15), "--state-dir", str(memory))
        assert done.code != 0
        log = (memory / "audit.jsonl").read_text()
    assert '"stopped"' in log


def test_an_import_that_ends_during_an_audit_is_no_gap(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded(site.apply(shop_release("1.4.0", 12)))
    read, later = auditlog.read_entries, [shop_release("1.5.2", 15)]

    def read_slowly(folder: Path) -> list[auditlog.AuditEntry]:
        entries = read(folder)
        while later:
            succeeded(site.apply(later.pop()))
        return entries

    monkeypatch.setattr(auditlog, "read_entries", read_slowly)
    succeeded(run_here(site.victim.folder, "airgap-import", "audit"))
    assert not later


def test_the_audit_log_has_every_import_and_notices_changes(site: Site) -> None:
    succeeded(site.apply(shop_release("1.4.0", 12)))
    succeeded(site.apply(shop_release("1.5.2", 15)))
    site.refuses(shop_release("1.4.0", 12), "RollbackDetected")
    succeeded(site.apply(shop_release("1.4.0", 12), "--allow-rollback", "12"))

    done = succeeded(run_here(site.victim.folder, "airgap-import", "audit", "--format", "json"))
    entries = json.loads(done.out)["entries"]
    assert [(e["ev"], e["version"], e["step"]) for e in entries] == [
        ("imported", "1.4.0", "first"),
        ("imported", "1.5.2", "newer"),
        ("imported", "1.4.0", "rollback"),
    ]
    assert entries[2]["agreed"] == ["--allow-rollback 12", "--move-tags yes"]

    log = site.state / "audit.jsonl"
    log.write_text(log.read_text().replace("1.5.2", "1.5.3"))
    done = run_here(site.victim.folder, "airgap-import", "audit")
    refused(done, 32, "StateCorrupt")


def test_a_dry_run_leaves_no_trace(site: Site) -> None:
    before = site.victim.registry.storage.snapshot()
    site.victim.proxy.clear()
    succeeded(site.apply(shop_release("1.5.2", 15), "--dry-run"))
    # It opens an upload wherever it would write, and closes it.
    assert {one.method for one in site.victim.proxy.mutations()} <= {"POST", "DELETE"}
    assert site.victim.registry.storage.open_uploads() == 0
    assert site.victim.registry.storage.snapshot() == before
    assert not site.state.exists()
    assert not site.overlay.exists()


def _verify_at(site: Site, draft: Draft, day: str) -> Finished:
    """Run verify in a process whose clock shows noon of this day."""
    bundle = site.victim.folder / "received.tar.zst"
    bundle.write_bytes(draft.pack(site._key))
    shell = Shell(site.victim.folder)
    command = shell.command_line("airgap-import", "verify", bundle, "--key", "vendor.pub")
    done = subprocess.run(
        ["faketime", f"{day} 12:00:00", *command],
        cwd=site.victim.folder,
        env={**shell.environment, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)
