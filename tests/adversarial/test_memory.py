"""Groups G and H: what is remembered of imports, where that is forged, broken or held by others."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from support.commands import Finished, Shell
from support.faults import Meanwhile, Rule
from support.hostile import Key
from support.import_site import PAST, Site, shop_release
from support.in_process import run_here
from support.journey import refused, succeeded, tree_of
from support.victim import Victim

pytestmark = pytest.mark.usefixtures("own_renderer")

_AUDIT = ("airgap-import", "audit", "--format", "json")
_RECEIPT = "dev.airgap-bundle.receipt"


@pytest.fixture
def site(victim: Victim, key: Key) -> Site:
    return Site(victim, key)


class TestWhatTheRegistrySays:
    """A receipt in the registry that somebody has forged."""

    FORGED: ClassVar = {
        "sequence": 0,
        "created": "2077-07-07T00:00:00Z",
        "expires": "9999-12-31T23:59:59Z",
        "accepted": "1999-01-01T00:00:00Z",
        "signers": ["SHA256:nobody"],
    }

    def _forge(self, site: Site, **changes: object) -> None:
        """Change the receipt of the newest release, as whoever may write there can."""
        storage = site.victim.registry.storage
        repository = f"{site.namespace}/airgap-receipts"
        manifest = json.loads(storage.read_blob(storage.tags(repository)["shop_stable"]))
        kept = json.loads(manifest["annotations"][_RECEIPT])
        manifest["annotations"][_RECEIPT] = json.dumps({**kept, **changes})
        connection = http.client.HTTPConnection(site.victim.registry.host)
        connection.request(
            "PUT",
            f"/v2/{repository}/manifests/shop_stable",
            json.dumps(manifest).encode(),
            {"Content-Type": manifest["mediaType"]},
        )
        assert connection.getresponse().status == 201
        connection.close()

    def test_h02_lowers_nothing_on_another_host(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        self._forge(site, **self.FORGED)
        site.other_host()
        succeeded(site.apply(shop_release("1.5.2", 15), "--now", f"{datetime.now(UTC):%Y-%m-%d}"))

        (path,) = site.state.glob("*/shop/state.json")
        remembered = json.loads(path.read_text())["channels"]["stable"]
        assert remembered["sequence"] == 15
        assert remembered["signers"] == [site.key_id]
        assert not any(value in remembered.values() for value in self.FORGED.values())
        assert any(flag.startswith("--now") for flag in remembered["agreed"])
        site.refuses(shop_release("1.4.0", 12), "RollbackDetected")
        # The registry has been set right, for hosts that remember nothing.
        site.other_host()
        refused(site.apply(shop_release("1.4.0", 12)), 12, "RollbackDetected")

    def test_is_no_place_for_lines_of_ones_own(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        self._forge(site, version="7.7\n  forged line")
        done = site.refuses(shop_release("1.6.0", 16), "RegistryIntegrity", code=24)
        assert "cannot be shown" in done.err


class TestWhatCannotBeRemembered:
    """An import that could not be remembered would let an older one in: it does not begin."""

    @pytest.mark.parametrize("what", ["a link", "a folder", "a pipe", "a damaged line"])
    def test_g05_in_the_audit_log(self, site: Site, what: str) -> None:
        log = site.state / "audit.jsonl"
        site.state.mkdir()
        match what:
            case "a link":
                log.symlink_to(site.victim.folder / "elsewhere")
            case "a folder":
                log.mkdir()
            case "a pipe":
                os.mkfifo(log)
            case _:
                log.write_bytes(b'{"n": 1, "prev"\n')
        code = 32 if what == "a damaged line" else 30
        self._refused(site, code, "StateCorrupt" if code == 32 else "StateNotWritable")

    @pytest.mark.parametrize("name", ["journal.jsonl", "reserve"])
    def test_g05_where_a_pipe_stands(self, site: Site, name: str) -> None:
        succeeded(site.apply(shop_release("1.4.0", 12)))
        (state,) = site.state.glob("*/shop/state.json")
        state.with_name(name).unlink(missing_ok=True)
        os.mkfifo(state.with_name(name))
        self._refused(site, 30, "StateNotWritable")
        succeeded(run_here(site.victim.folder, "airgap-import", "status"))

    @pytest.mark.parametrize("link", [False, True])
    def test_g05_in_receipts(self, site: Site, link: bool) -> None:
        succeeded(site.apply(shop_release("1.4.0", 12)))
        (receipts,) = site.state.glob("*/shop/receipts")
        shutil.rmtree(receipts)
        if link:
            receipts.symlink_to("nowhere")
        else:
            receipts.write_bytes(b"")
        self._refused(site, 30, "StateNotWritable")

    def test_g10_while_somebody_holds_the_log(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.4.0", 12)))
        with (site.state / "audit.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refused(site, 31, "Locked")
        for name in ("audit.lock", "*/shop/lock"):
            (path,) = site.state.glob(name)
            assert path.stat().st_mode & 0o077 == 0
        succeeded(site.apply(shop_release("1.5.2", 15)))

    def test_the_mark_is_set_even_if_the_log_breaks_at_the_end(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.4.0", 12)))

        def break_log() -> None:
            (site.state / "audit.jsonl").unlink()
            (site.state / "audit.jsonl").mkdir()

        site.victim.proxy.add(Rule(Meanwhile(break_log), "PUT", "/manifests/1"))
        refused(site.apply(shop_release("1.5.2", 15)), 30, "StateNotWritable")
        site.victim.proxy.clear()
        site.refuses(shop_release("1.4.0", 12), "RollbackDetected")
        (site.state / "audit.jsonl").rmdir()
        succeeded(site.apply(shop_release("1.5.2", 15)))
        succeeded(run_here(site.victim.folder, "airgap-import", "audit"))

    def _refused(self, site: Site, code: int, name: str) -> None:
        overlay = tree_of(site.overlay)
        before = site.victim.registry.storage.snapshot()
        done = refused(site.apply(shop_release("1.5.2", 15)), code, name)
        assert "nothing was changed" in done.err
        assert site.victim.registry.storage.snapshot() == before
        deployed = {n: c for n, c in tree_of(site.overlay).items() if not n.startswith(".airgap")}
        assert deployed == {n: c for n, c in overlay.items() if not n.startswith(".airgap")}


class TestWhatWasAgreed:
    """Every override is recorded, even about what is there already."""

    def test_is_recorded_when_the_release_is_known(self, site: Site) -> None:
        succeeded(site.apply(shop_release("1.5.2", 15, **PAST), "--now", "2025-06-01"))
        first = succeeded(run_here(site.victim.folder, *_AUDIT))
        succeeded(site.apply(shop_release("1.5.2", 15, **PAST), "--now", "2025-07-02"))
        lines = json.loads(succeeded(run_here(site.victim.folder, *_AUDIT)).out)["entries"]
        assert len(lines) == len(json.loads(first.out)["entries"]) + 1
        assert "--now 2025-07-02" in lines[-1]["agreed"]
        (path,) = site.state.glob("*/shop/state.json")
        agreed = json.loads(path.read_text())["channels"]["stable"]["agreed"]
        assert {"--now 2025-06-01", "--now 2025-07-02"} <= set(agreed)


class TestStatusAndAudit:
    """What cannot be read is not taken for nothing, and what was cut off is missed."""

    @pytest.fixture
    def imported(self, site: Site) -> Site:
        succeeded(site.apply(shop_release("1.5.2", 15)))
        return site

    @pytest.mark.parametrize("what", ["a link to nowhere", "a pipe", "a folder"])
    def test_h15_a_state_that_is_none(self, imported: Site, what: str) -> None:
        (state,) = imported.state.glob("*/shop/state.json")
        state.unlink()
        match what:
            case "a pipe":
                os.mkfifo(state)
            case "a folder":
                state.mkdir()
            case _:
                state.symlink_to("nowhere")
        refused(self._run(imported, "status", "--fail-stale"), 32, "StateCorrupt")

    def test_h15_a_folder_that_is_none(self, site: Site) -> None:
        (site.victim.folder / "file").write_bytes(b"")
        for name in ("file", "n" * 300):
            done = self._run(site, "status", "--fail-stale", "--state-dir", name)
            refused(done, 32, "StateCorrupt")

    @pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv")
    def test_h15_a_folder_that_may_not_be_read(self, imported: Site) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can become somebody else")
        # pytest's own folders let nobody in.
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            state = shutil.copytree(imported.state, folder / "state")
            self._status_of_nobody(state, 0)
            (target,) = (path for path in state.iterdir() if path.is_dir())
            target.chmod(0o700)
            self._status_of_nobody(state, 32)

    def _status_of_nobody(self, state: Path, code: int) -> None:
        shell = Shell(state.parent)
        line = shell.command_line("airgap-import", "status", "--state-dir", state)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *line],
            cwd="/",
            env=shell.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if "ModuleNotFoundError" in done.stderr or "Permission denied: '/" in done.stderr:
            pytest.skip("nobody may read this checkout")
        assert done.returncode == code, done.stderr
        assert ("StateCorrupt" in done.stderr) is (code == 32)

    def test_h15_a_clock_that_was_set_back(self, imported: Site) -> None:
        aged = ("status", "--fail-stale", "--max-age-days", "5000")
        succeeded(self._run(imported, *aged))
        (path,) = imported.state.glob("*/shop/state.json")
        document = json.loads(path.read_text())
        document["latestSeen"] = "2098-01-01T00:00:00Z"
        path.write_text(json.dumps(document))
        refused(self._run(imported, *aged), 12, "BundleStale")

    @pytest.mark.parametrize("how", ["the last line", "all"])
    def test_an_audit_log_that_was_cut_off(self, imported: Site, how: str) -> None:
        succeeded(imported.apply(shop_release("1.6.0", 16)))
        log = imported.state / "audit.jsonl"
        if how == "all":
            log.unlink()
        else:
            log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
        done = refused(self._run(imported, "audit"), 32, "StateCorrupt")
        assert "shop 1.6.0" in done.err

    @pytest.mark.parametrize("line", [b"{torn", b"[1]", b"1", b'"text"'])
    def test_a_journal_of_rubbish_with_a_right_checksum(self, imported: Site, line: bytes) -> None:
        (journal,) = imported.state.glob("*/shop/journal.jsonl")
        journal.write_bytes(line + f"\t{zlib.crc32(line):08x}\n".encode())
        succeeded(self._run(imported, "status"))

    def test_days_without_end(self, site: Site) -> None:
        done = self._run(site, "status", "--max-age-days", "1000000000000")
        assert done.code == 2

    def test_g12_a_newer_state_is_not_set_aside(self, imported: Site) -> None:
        (state,) = imported.state.glob("*/shop/state.json")
        state.write_bytes(b'{"format": 2}')
        done = self._run(
            imported,
            *("state", "rebuild", "--app", "shop", "--plain-http"),
            *("--registry-endpoint", imported.victim.proxy.host),
            *("--image-namespace", imported.namespace),
        )
        refused(done, 32, "StateCorrupt")
        assert "newer airgap-import" in done.err
        assert state.read_bytes() == b'{"format": 2}'

    @pytest.mark.parametrize(
        ("app", "channel"),
        [("Shop", "stable"), ("a" * 64, "stable"), ("../../../evil", "stable"), ("shop", "a\nb")],
    )
    def test_is_made_for_no_name_that_no_release_has(
        self, site: Site, app: str, channel: str
    ) -> None:
        done = self._run(
            site,
            *("state", "rebuild", "--app", app, "--channel", channel, "--plain-http"),
            *("--registry-endpoint", site.victim.proxy.host),
            *("--image-namespace", site.namespace),
        )
        refused(done, 2, "UsageError")
        assert site.victim.proxy.requests() == []

    def _run(self, site: Site, *command: str | Path) -> Finished:
        return run_here(site.victim.folder, "airgap-import", *command)
