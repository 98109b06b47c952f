"""One application's way from a source registry into a target, walked as a user walks it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from airgap_shared.oci.reference import Reference, parse_reference
from airgap_shared.trust.privatekey import PrivateKey
from support.commands import Finished, Shell
from support.images import BuiltImage, make_image
from support.in_process import run_here
from support.judging import error_name, judge_ending
from support.pushing import push_image
from support.waiting import wait_until

#: The second in which the last create ended.
_LAST_CREATED = [0]
NAME = "shop"
BUNDLE = "shop.tar.zst"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Journey:
    """A working folder with an application in ``app`` and a key pair, and two registries by host.

    The source is read as a mirror of every registry; the target gets one namespace. ``folder``
    is the home of the commands, too.
    """

    folder: Path
    source: str
    target: str
    namespace: str = "apps/shop"
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: Path, source: str, target: str) -> Journey:
        """Make the folder, an empty application and a key pair."""
        (folder / "app").mkdir(parents=True)
        write_key_pair(folder, "vendor")
        return cls(folder, source, target)

    @property
    def shell(self) -> Shell:
        """Where the commands run."""
        return Shell(self.folder, self.variables)

    @property
    def bundle(self) -> Path:
        """The finished bundle."""
        return self.folder / BUNDLE

    @property
    def partial(self) -> Path:
        """The bundle while it is being written."""
        return self.folder / f"{BUNDLE}.partial"

    @property
    def overlay(self) -> Path:
        """The overlay directory."""
        return self.folder / "deploy"

    @property
    def midstream(self) -> Path:
        """What is to be deployed."""
        return self.overlay / "overlays" / "midstream"

    def write(self, text: str, name: str = "app.yaml") -> None:
        """One file of the application."""
        path = self.folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def deploy(self, *images: str) -> None:
        """An application of one deployment that runs these images."""
        self.write(deployment("web", *images))

    def push(self, reference: str, image: BuiltImage) -> str:
        """Put an image where the mirror has it; gives its digest."""
        named = parse_reference(reference)
        tag = None if named.digest is not None else named.effective_tag
        return push_image(self.source, location_of(named), tag, image)

    def fill_stand_ins(self, manifests: Path) -> dict[str, str]:
        """Take a folder of manifests, and give every image they name a tiny image of its own.

        A digest in the manifests is first replaced by that of the stand-in. Gives the digest of
        each image by its canonical reference.
        """
        app = self.folder / "app"
        shutil.copytree(manifests, app, dirs_exist_ok=True)
        found = succeeded(self._run("airgap-bundle", "discover", app, "--format", "json"))
        digests: dict[str, str] = {}
        replaced: dict[str, str] = {}
        for entry in json.loads(found.out)["images"]:
            named = parse_reference(entry["reference"])
            digest = self._push_stand_in(named)
            if named.digest is not None:
                replaced[str(named.digest)] = digest
            digests[_with_digest(named, digest)] = digest
        for path in app.rglob("*.y*ml"):
            text = path.read_text()
            path.write_text(_DIGEST.sub(lambda m: replaced.get(m[0], m[0]), text))
        return digests

    def create(self, *options: str | Path, measure: bool = False) -> Finished:
        """Run create to its end, for linux/amd64 unless told otherwise."""
        # Two bundles of one second would have one sequence, and be Equivocation.
        wait_until(lambda: int(time.time()) != _LAST_CREATED[0], "another second")
        done = self._run(*self.create_command(*options), measure=measure)
        _LAST_CREATED[0] = int(time.time())
        return done

    def create_command(self, *options: str | Path) -> tuple[str | Path, ...]:
        """The command line of create."""
        platform = () if "--platform" in options else ("--platform", "linux/amd64")
        return (
            *("airgap-bundle", "create", "app", "--name", NAME, "--version", "1.0.0"),
            *("--key", "vendor.key", "--output", BUNDLE),
            *("--mirror", f"*={self.source}", "--plain-http", self.source),
            *platform,
            *options,
        )

    def verify(self, *options: str, bundle: str = BUNDLE, stdin: bytes = b"") -> Finished:
        """Run verify to its end."""
        command = ("airgap-import", "verify", bundle, "--key", "vendor.pub", *options)
        return self._run(*command, stdin=stdin)

    def apply(
        self,
        *options: str | Path,
        bundle: str = BUNDLE,
        stdin: bytes = b"",
        measure: bool = False,
    ) -> Finished:
        """Run apply to its end."""
        command = self.apply_command(*options, bundle=bundle)
        return self._run(*command, stdin=stdin, measure=measure)

    def apply_command(self, *options: str | Path, bundle: str = BUNDLE) -> tuple[str | Path, ...]:
        """The command line of apply."""
        return (
            *("airgap-import", "apply", bundle, "--key", "vendor.pub"),
            *("--registry-endpoint", self.target, "--plain-http"),
            *("--image-namespace", self.namespace, "--output", "deploy"),
            *options,
        )

    def relocation(self) -> dict[str, dict[str, str]]:
        """What apply noted about each image, by its canonical source reference."""
        document = json.loads((self.overlay / ".airgap" / "relocation.json").read_text())
        return {entry["source"]: entry for entry in document["images"]}

    def rendered(self) -> str:
        """The overlay as kubectl renders it."""
        done = subprocess.run(
            ["kubectl", "kustomize", self.midstream], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *command: str | Path, stdin: bytes = b"", measure: bool = False) -> Finished:
        """In this process, for starting another takes longer than most commands do."""
        if measure:
            return self.shell.run(*command, stdin=stdin, measure=True)
        environment = self.shell.environment
        return run_here(self.folder, *command, stdin=stdin, environment=environment)

    def _push_stand_in(self, named: Reference) -> str:
        # One digest under two names is one image.
        seed = named.digest or named.canonical
        image = make_image([f"stand-in for {seed}".encode()])
        return push_image(self.source, location_of(named), named.effective_tag, image)


def write_key_pair(folder: Path, name: str) -> PrivateKey:
    """``NAME.key`` and ``NAME.pub``, as keygen writes them."""
    key = PrivateKey.generate()
    private = folder / f"{name}.key"
    private.touch(0o600)
    private.write_bytes(key.to_pem())
    (folder / f"{name}.pub").write_bytes(key.public_key.pem)
    return key


def location_of(reference: Reference) -> str:
    """The repository in which ``--mirror '*=HOST'`` looks for an image."""
    return f"{reference.registry.replace(':', '_')}/{reference.repository}"


def deployment(name: str, *images: str) -> str:
    """A deployment of one container for each image."""
    containers = "".join(
        f"      - name: c{number}\n        image: {json.dumps(image)}\n"
        for number, image in enumerate(images)
    )
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n"
        f"  selector:\n    matchLabels: {{app: {name}}}\n"
        f"  template:\n    metadata:\n      labels: {{app: {name}}}\n"
        f"    spec:\n      containers:\n{containers}"
    )


def images_in(rendered: str) -> list[str]:
    """Every text under a key ``image`` in a stream of YAML documents, sorted."""
    return sorted(image for document in yaml.safe_load_all(rendered) for image in _images(document))


def succeeded(done: Finished) -> Finished:
    """The same, having made sure that the command succeeded."""
    judge_ending(done)
    assert done.code == 0, done.err + done.out
    return done


def refused(done: Finished, code: int | tuple[int, ...], *names: str) -> Finished:
    """The same, having made sure that it failed with one of these codes and of these names."""
    judge_ending(done)
    assert done.code in (code if isinstance(code, tuple) else (code,)), done.err + done.out
    assert error_name(done) in names, done.err
    return done


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: files with their content, folders without."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _images(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            else:
                yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def _with_digest(named: Reference, digest: str) -> str:
    if named.digest is None:
        return named.canonical
    return f"{named.canonical.partition('@')[0]}@{digest}"
