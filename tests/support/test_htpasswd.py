from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.htpasswd import write_htpasswd


@pytest.mark.skipif(shutil.which("htpasswd") is None, reason="htpasswd is not installed")
@pytest.mark.parametrize(("password", "right"), [("pass:wörd", True), ("other", False)])
def test_htpasswd_agrees(tmp_path: Path, password: str, right: bool) -> None:
    path = tmp_path / "htpasswd"
    write_htpasswd(path, {"someone": "x", "robot": "pass:wörd"})
    verify = ["htpasswd", "-vb", str(path), "robot", password]
    assert (subprocess.run(verify, capture_output=True, check=False).returncode == 0) == right
