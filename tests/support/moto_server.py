"""moto's ECR: the API of Amazon ECR on loopback, as a process of its own."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from support.waiting import wait_until

#: Whose registry moto's is, and the password that its tokens hold.
ACCOUNT = "123456789012"
PASSWORD = f"{ACCOUNT}-auth-token"
REGION = "eu-central-1"
_TARGET = "AmazonEC2ContainerRegistry_V20150921"


class MotoServer:
    """A context manager that starts moto on a free port, and ends it by its id."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "moto.log"
        self._process: subprocess.Popen[str] | None = None
        self.host = ""

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        wait_until(lambda: self._ended() or self._announced(), "moto")
        self.host = self._announced()
        assert self.host, self._log.read_text()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL_ECR is set to."""
        return f"http://{self.host}"

    def reset(self) -> None:
        """Forget everything that was made."""
        self._post("/moto-api/reset", b"", {})

    def repositories(self) -> dict[str, dict[str, object]]:
        """Every repository, by its name, with its settings."""
        found = self._call("DescribeRepositories", {})["repositories"]
        assert isinstance(found, list)
        return {one["repositoryName"]: one for one in found}

    def create(self, name: str) -> None:
        """Make a repository as somebody else would."""
        self._call("CreateRepository", {"repositoryName": name})

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _announced(self) -> str:
        """Host and port as the log has them; empty until it does."""
        found = re.search(r"http://(127\.0\.0\.1:\d+)", self._log.read_text())
        return found[1] if found else ""

    def _call(self, operation: str, document: dict[str, object]) -> dict[str, object]:
        scope = f"AKIAOTHER/20260101/{REGION}/ecr/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_TARGET}.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=, Signature=",
        }
        answered = json.loads(self._post("/", json.dumps(document).encode(), headers))
        assert isinstance(answered, dict)
        return answered

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request("POST", path, body, headers)
            with connection.getresponse() as answer:
                assert answer.status == 200, answer.status
                return answer.read()
        finally:
            connection.close()


class MotoRepositories(set[str]):
    """The repositories that moto knows, for a proxy that refuses all others."""

    def __init__(self, moto: MotoServer) -> None:
        super().__init__()
        self._moto = moto

    def __contains__(self, name: object) -> bool:
        return name in self._moto.repositories()
