"""Carry a small application from one throwaway registry into another, and show every step.

Run by ``make demo``. Everything happens in a temporary folder and on loopback; two
docker-registry processes are started and ended again, whatever happens.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

import yaml

from support.docker_registry import DockerRegistry, RegistryNotStarted
from support.images import BuiltImage, ImageStyle, make_image, make_index, tar_layer
from support.pushing import fetch_manifest, push_image
from support.registry_binary import ToolMissing, registry_binary

APPLICATION = Path(__file__).resolve().parent / "app"
BUNDLE = "shop-1.0.0.tar.zst"
NAMESPACE = "shop"

#: What the source registry holds; names as in demo/app, spelled in full, ':' of a port as '_'.
TAGGED = (
    ("docker.io/library/busybox", "latest"),
    ("docker.io/library/busybox", "1.36"),
    ("docker.io/library/nginx", "1.27"),
    ("docker.io/library/redis", "7.2"),
    ("docker.io/library/redis", "7.4"),
    ("docker.io/acme/cart", "3.0"),
    ("ghcr.io/acme/migrate", "3.0"),
    ("quay.io/legacy/cart", "1.9"),
    ("registry.example.com_5000/team/report", "2.1"),
)
PINNED = "quay.io/acme/exporter"

RENDERERS = (("kubectl", "kustomize"), ("kustomize", "build"))


class DemoFailed(Exception):
    """A step did not do what it should; the text says which."""


def main() -> int:
    """Run all steps; 0 if every one of them succeeded."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airgap-demo-")))
            _demonstrate(folder, stack)
    except (DemoFailed, ToolMissing, RegistryNotStarted) as problem:
        sys.stderr.write(f"\ndemo: {problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ndemo: interrupted; everything it started is ended\n")
        return 130
    return 0


def _demonstrate(folder: Path, stack: ExitStack) -> None:
    if shutil.which("docker-registry") is None:
        _say("Looking for docker-registry (Debian's package is fetched if need be) …")
    registry_binary()
    source = stack.enter_context(DockerRegistry(_made(folder / "source-registry")))
    target = stack.enter_context(DockerRegistry(_made(folder / "target-registry")))
    work = _made(folder / "work")
    shutil.copytree(APPLICATION, work / "app")
    _say(f"The world outside: a registry at {source.host}. The closed network: {target.host}.")
    _fill(source)
    _bundle(work, source)
    # From here on the source is gone, as it is behind an air gap.
    source.stop()
    _say("\nThe source registry is off. Only the bundle and the public key cross the gap.")
    _import(work, target)
    _show_overlay(work)
    _render(work, target)
    _say("\nDone: every image is in the closed registry, under a digest that was signed for.")


def _fill(source: DockerRegistry) -> None:
    for repository, tag in TAGGED:
        push_image(source.host, repository, tag, _image(f"{repository}:{tag}"))
    digest = push_image(source.host, PINNED, None, _image(PINNED))
    named = f"{PINNED}@{digest}"
    if named not in (APPLICATION / "web.yaml").read_text(encoding="utf-8"):
        raise DemoFailed(f"demo/app/web.yaml must name {named}")
    _say(f"It holds {len(TAGGED) + 1} images for two platforms each.")


def _image(name: str) -> BuiltImage:
    """An image for two platforms that is the same on every machine.

    Its layer is not compressed: zlib's output differs, and one digest stands in the application.
    """
    return make_index(
        [
            make_image(
                [tar_layer({"README": f"{name} for {platform}\n".encode()})],
                platform,
                ImageStyle(labels={"org.opencontainers.image.title": name}),
            )
            for platform in ("linux/amd64", "linux/arm64")
        ]
    )


def _bundle(work: Path, source: DockerRegistry) -> None:
    _step("Once: a key pair. The private half never leaves this side.")
    _run(work, "airgap-bundle", "keygen", "vendor")
    _step("Outside: one signed file with the application and every image it names.")
    _run(
        work,
        *("airgap-bundle", "create", "app", "--name", "shop", "--version", "1.0.0"),
        *("--key", "vendor.key", "--output", BUNDLE),
        *("--mirror", f"*={source.host}", "--plain-http", source.host),
    )
    _step("What is inside (readable by anybody, and not to be trusted before 'verify').")
    _run(work, "airgap-bundle", "inspect", BUNDLE)


def _import(work: Path, target: DockerRegistry) -> None:
    (work / "vendor.key").unlink()
    _step("Inside: is every byte what the vendor signed?")
    _run(work, "airgap-import", "verify", BUNDLE, "--key", "vendor.pub")
    _step("Inside: push the images and write the overlay.")
    _run(work, *_apply(target))
    _step("The same again: nothing is left to send.")
    _run(work, *_apply(target))


def _apply(target: DockerRegistry) -> tuple[str, ...]:
    return (
        *("airgap-import", "apply", BUNDLE, "--key", "vendor.pub"),
        *("--registry-endpoint", target.host, "--plain-http"),
        *("--image-namespace", NAMESPACE, "--output", "deploy"),
    )


def _show_overlay(work: Path) -> None:
    _step("What was written:")
    for path in sorted((work / "deploy").rglob("*")):
        if path.is_file():
            _say(f"  {path.relative_to(work)}")
    path = work / "deploy" / "overlays" / "midstream" / "kustomization.yaml"
    _step(f"{path.relative_to(work)}:")
    _say(path.read_text(encoding="utf-8").rstrip())


def _render(work: Path, target: DockerRegistry) -> None:
    program = next((words for words in RENDERERS if shutil.which(words[0])), None)
    if program is None:
        _step("Neither kubectl nor kustomize is here to render it; 'apply' has checked it itself.")
        return
    _step("What the cluster would get:")
    rendered = _run(work, *program, "deploy/overlays/midstream")
    images = sorted(
        {image for document in yaml.safe_load_all(rendered) for image in _images(document)}
    )
    if len(images) != len(TAGGED) + 1:
        raise DemoFailed(f"{len(images)} images were rendered, {len(TAGGED) + 1} expected")
    _step("Every image in it, looked up in the closed registry:")
    for image in images:
        _check(image, target)
        _say(f"  {image}")


def _check(image: str, target: DockerRegistry) -> None:
    name, _, digest = image.partition("@")
    registry, _, rest = name.partition("/")
    repository = rest.partition(":")[0]
    if registry != target.host or not repository.startswith(f"{NAMESPACE}/") or not digest:
        raise DemoFailed(f"{image} is not {target.host}/{NAMESPACE}/…@sha256:…")
    fetch_manifest(target.host, repository, digest)


def _images(value: object) -> Iterator[str]:
    """Every ``image:`` text at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            else:
                yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def _run(folder: Path, *command: str) -> str:
    """Show a command as a person types it, run it, show and give what it says."""
    _say(f"$ {shlex.join(command)}")
    # The commands are those installed beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which(command[0], path=path)
    if program is None:
        raise DemoFailed(f"{command[0]} is not installed: run 'make demo'")
    done = subprocess.run(  # noqa: S603 - commands of this file
        [program, *command[1:]],
        cwd=folder,
        # Nothing of the demo is left behind in the user's own folders.
        env={**os.environ, "PATH": path, "AIRGAP_STATE_DIR": str(folder.absolute() / "state")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    _say(done.stdout.rstrip())
    if done.returncode != 0:
        raise DemoFailed(f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _step(text: str) -> None:
    _say(f"\n\N{BLACK RIGHT-POINTING SMALL TRIANGLE} {text}")


def _say(text: str) -> None:
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
