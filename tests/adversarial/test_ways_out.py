"""Groups G and H: hosts that import at the same time, and the ways out of a memory gone wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.commands import Finished, Shell
from support.faults import Answer, Meanwhile, Rule
from support.hostile import Draft, Key
from support.import_site import Site, release_image, shop_release
from support.in_process import run_here
from support.journey import refused, succeeded
from support.victim import Victim

pytestmark = pytest.mark.usefixtures("own_renderer")

_RECEIPT = "dev.airgap-bundle.receipt"
_FAR = "2098-01-01T00:00:00Z"


@pytest.fixture
def site(victim: Victim, key: Key) -> Site:
    return Site(victim, key)


def _run(site: Site, *command: str) -> Finished:
    return run_here(site.victim.folder, "airgap-import", *command)


def _rebuild(site: Site, *options: str) -> Finished:
    place = ("--registry-endpoint", site.victim.proxy.host, "--image-namespace", site.namespace)
    return _run(site, "state", "rebuild", "--app", "shop", "--plain-http", *place, *options)


class TestAnotherHostMeanwhile:
    """A newer release is imported by another host while this one is at its last steps."""

    @pytest.mark.parametrize("moment", ["/manifests/1$", "airgap-receipts/manifests/airgap-"])
    def test_h02_its_receipt_stays(self, site: Site, key: Key, moment: str) -> None:
        other: list[Finished] = []
        newer = shop_release("1.6.0", 16)
        meanwhile = Meanwhile(lambda: other.append(self._import_elsewhere(site, newer, key)))
        site.victim.proxy.add(Rule(meanwhile, "PUT", moment))
        done = refused(site.apply(shop_release("1.5.2", 15)), 12, "RollbackDetected")
        succeeded(other[0])
        assert "1.6.0 (sequence 16) was imported by another host meanwhile" in done.err
        assert "import 1.6.0 again" in done.err
        assert self._receipt(site)["sequence"] == 16

        site.victim.proxy.clear()
        succeeded(site.apply(newer))
        tag = site.victim.registry.storage.tags(f"{site.namespace}/app")["1"]
        assert tag == release_image("1.6.0").digest

    def test_going_back_on_purpose_is_no_race(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.6.0", 16)))
        succeeded(site.apply(shop_release("1.5.2", 15), "--allow-rollback", "15"))
        assert self._receipt(site)["sequence"] == 15

    def _receipt(self, site: Site) -> dict[str, object]:
        storage = site.victim.registry.storage
        raw = storage.read_blob(storage.tags(f"{site.namespace}/airgap-receipts")["shop_stable"])
        found = json.loads(json.loads(raw)["annotations"][_RECEIPT])
        assert isinstance(found, dict)
        return found

    def _import_elsewhere(self, site: Site, draft: Draft, key: Key) -> Finished:
        folder = site.victim.folder / "elsewhere"
        folder.mkdir()
        shutil.copy(site.victim.folder / "vendor.pub", folder)
        (folder / "newer.tar.zst").write_bytes(draft.pack(key))
        return Shell(folder).run(
            *("airgap-import", "apply", "newer.tar.zst", "--key", "vendor.pub", "--move-tags"),
            *("--registry-endpoint", site.victim.registry.host, "--output", "deploy"),
            *("--image-namespace", site.namespace),
        )


class TestAReceiptThatTheRegistryDoesNotKeep:
    @pytest.mark.parametrize("status", [501, 520, 206, 410])
    def test_h02_a_fault_is_not_taken_for_no_receipt(self, site: Site, status: int) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        site.other_host()
        before = site.victim.registry.storage.snapshot()
        rule = Rule(Answer(status), "GET", "/airgap-receipts/manifests/", times=None)
        site.victim.proxy.add(rule)
        done = site.apply(shop_release("1.4.0", 12))
        assert done.code in (20, 22, 24), done.err
        assert "nothing was changed" in done.err
        assert site.victim.registry.storage.snapshot() == before

    def test_h02_none_is_shown(self, site: Site) -> None:
        rule = Rule(Answer(403), "GET", "/airgap-receipts/manifests/", times=None)
        site.victim.proxy.add(rule)
        done = succeeded(site.apply(shop_release("1.5.2", 15)))
        assert "older bundles are recognised by this host alone" in done.err

    def test_e14_taken_and_not_there(self, site: Site) -> None:
        rule = Rule(Answer(201), "PUT", "/airgap-receipts/manifests/", times=None)
        site.victim.proxy.add(rule)
        done = refused(site.apply(shop_release("1.5.2", 15)), 24, "RegistryIntegrity")
        assert "only records are missing" in done.err
        site.victim.proxy.clear()
        succeeded(site.apply(shop_release("1.5.2", 15)))
        assert "shop_stable" in site.victim.registry.storage.tags(
            f"{site.namespace}/airgap-receipts"
        )


class TestAClockThatWasAhead:
    """One import under a clock that was ahead: no other import until then, but for a way out."""

    @pytest.fixture
    def ahead(self, site: Site) -> Path:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        (path,) = site.state.glob("*/shop/state.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "latestSeen": _FAR}))
        return path

    def test_h06_is_told_the_way_out(self, site: Site, ahead: Path) -> None:
        newer = shop_release("1.6.0", 16)
        done = site.refuses(newer, "ClockWentBackwards")
        assert "airgap-import state reset-clock" in done.err
        said = json.loads(succeeded(_run(site, "state", "reset-clock", "--format", "json")).out)
        assert said["was"] == _FAR
        succeeded(site.apply(newer))
        assert json.loads(ahead.read_text())["latestSeen"] == said["now"]
        # What is remembered of releases is as it was.
        site.refuses(shop_release("1.5.2", 15), "RollbackDetected")

    def test_is_recorded(self, site: Site, ahead: Path) -> None:
        assert ahead.is_file()
        assert _FAR in succeeded(_run(site, "state", "reset-clock")).out
        entry = json.loads(succeeded(_run(site, "audit", "--format", "json")).out)["entries"][-1]
        assert (entry["ev"], entry["was"]) == ("clock", _FAR)
        assert f"clock  reset from {_FAR}" in succeeded(_run(site, "audit")).out

    def test_nothing_is_forgotten_under_a_right_clock(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        before = site.everything()
        assert "nothing to forget" in succeeded(_run(site, "state", "reset-clock")).out
        assert site.everything() == before


class TestAnAuditLogThatIsDamaged:
    @pytest.mark.parametrize("line", [b"garbage\n", b"{}\n", b'{"n":7}\n', b"\xff\n", b"\n"])
    def test_h15_says_the_way_out(self, site: Site, line: bytes) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        log = site.state / "audit.jsonl"
        log.write_bytes(log.read_bytes() + line)
        newer, before = shop_release("1.6.0", 16), site.victim.registry.storage.snapshot()
        done = refused(site.apply(newer), 32, "StateCorrupt")
        assert "nothing was changed" in done.err
        assert "with another name for it" in done.err
        assert site.victim.registry.storage.snapshot() == before
        log.rename(log.with_name("audit.jsonl.damaged"))
        # The loss is not hidden by the new beginning, as long as what was lost is the newest.
        refused(_run(site, "audit"), 32, "StateCorrupt")
        succeeded(site.apply(newer))
        succeeded(_run(site, "audit"))


class TestAFirstImportThatWasKilled:
    def test_g01_is_told_by_status(self, site: Site, key: Key) -> None:
        folder = site.victim.folder
        (folder / "first.tar.zst").write_bytes(shop_release("1.5.2", 15).pack(key))
        shell = Shell(folder, {"AIRGAP_STATE_DIR": str(site.state)})
        process = shell.start(
            *("airgap-import", "apply", "first.tar.zst", "--key", "vendor.pub", "--plain-http"),
            *("--registry-endpoint", site.victim.proxy.host, "--output", "deploy"),
            *("--image-namespace", site.namespace),
        )
        stopped = Meanwhile(process.kill)
        site.victim.proxy.add(Rule(stopped, "PUT", "/manifests/sha256"))
        process.communicate()
        assert process.returncode == -9
        done = succeeded(_run(site, "status"))
        assert "an import of 1.5.2 began and did not end" in done.out
        (begun,) = json.loads(succeeded(_run(site, "status", "--format", "json")).out)["begun"]
        assert (begun["app"], begun["version"]) == ("shop", "1.5.2")
        assert begun["target"].endswith(f"/{site.namespace}")


class TestAWorkingDirectoryThatIsGone:
    def test_g05_is_told(self, site: Site, key: Key) -> None:
        folder = site.victim.folder
        bundle = folder / "received.tar.zst"
        bundle.write_bytes(shop_release("1.5.2", 15).pack(key))
        gone = folder / "gone"
        gone.mkdir()
        shell = Shell(folder, {"AIRGAP_STATE_DIR": str(site.state)})
        line = shell.command_line(
            *("airgap-import", "apply", bundle, "--key", folder / "vendor.pub", "--plain-http"),
            *("--registry-endpoint", site.victim.proxy.host, "--output", "deploy"),
            *("--image-namespace", site.namespace),
        )
        done = subprocess.run(
            ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *line],
            cwd=gone,
            env=shell.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 30, done.stderr
        assert "OverlayNotWritable" in done.stderr
        assert "nothing was changed" in done.stderr


class TestAStateWithSeveralChannels:
    def test_h12_rebuilding_one_tells_of_the_others(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        beta = shop_release("1.6.0-b", 16, channel="beta")
        succeeded(site.apply(beta, "--channel", "beta"))
        (path,) = site.state.glob("*/shop/state.json")
        whole = json.loads(path.read_text())["channels"]
        path.write_bytes(b"torn")
        assert "may have known other channels" in succeeded(_rebuild(site)).err
        done = succeeded(_rebuild(site, "--channel", "beta"))
        assert "other channels" not in done.err
        assert json.loads(path.read_text())["channels"] == whole
