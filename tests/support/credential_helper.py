"""A credential helper that gives another password each time it is asked, and counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """#!/bin/sh
read server
cat {folder}/next && echo "$server" >> {folder}/asked
if [ -e {folder}/after ]; then mv {folder}/after {folder}/next; fi
"""


@dataclass(frozen=True, slots=True)
class CredentialHelper:
    """``docker-credential-rotating`` in ``home``, named by its docker configuration for a host."""

    home: Path

    @classmethod
    def install(
        cls, home: Path, host: str, user: str, passwords: Sequence[str]
    ) -> CredentialHelper:
        """One of at most two passwords for each question; the last is given for ever."""
        folder = home / "helper"
        folder.mkdir(parents=True)
        for name, password in zip(("next", "after"), passwords, strict=False):
            (folder / name).write_text(json.dumps({"Username": user, "Secret": password}))
        program = folder / "docker-credential-rotating"
        program.write_text(_PROGRAM.format(folder=folder))
        program.chmod(0o755)
        configuration = home / ".docker" / "config.json"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(json.dumps({"credHelpers": {host: "rotating"}}))
        return cls(home)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a command needs to find it."""
        return {"PATH": f"{self.home / 'helper'}:/usr/bin:/bin"}

    @property
    def asked(self) -> int:
        """How often it was asked."""
        log = self.home / "helper" / "asked"
        return len(log.read_text().splitlines()) if log.exists() else 0
