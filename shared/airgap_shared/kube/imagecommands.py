"""Images in shell text: what commands pull and builds begin with, and what builds make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

from airgap_shared.kube.imagerules import COMMAND
from airgap_shared.kube.imagetokens import Finding, names_registry

# Every pattern here reads a text once, without going back: the texts may be hostile.
_RUN = re.compile(r"\b(?:docker|podman|nerdctl|crictl)[ \t]+(?:run|pull|create)(?=[ \t])")
#: The next word of a command; there is none at its end.
_WORD = re.compile(r"[^\S\n]*(?P<word>[^\s;|&]+)")
_FROM = re.compile(
    r"^[ \t]*FROM[ \t]+(?:--platform=\S+[ \t]+)?(?P<image>\S{1,600})"
    r"(?:[ \t]+(?:AS|as)[ \t]+(?P<stage>\S{1,100}))?[ \t]*$",
    re.MULTILINE,
)
_INSTRUCTION = re.compile(
    r"^[ \t]*(?:RUN|CMD|COPY|ADD|ENTRYPOINT|WORKDIR|ENV|ARG|USER|EXPOSE|LABEL)[ \t]", re.MULTILINE
)
_BUILD = re.compile(r"\b(?:build|buildx|bud|push|tag|image=|destination)\b|push=true")
_TARGETS: Final = (
    re.compile(r"(?<![\w-])(?:-t|--tag)[ =]([^\s\"'`;|&]{1,600})"),
    re.compile(r"\b(?:docker|podman|buildah|nerdctl|crane)[ \t]+push[ \t]+([^\s\"'`;|&]{1,600})"),
    re.compile(r"--destination[ =]([^\s\"'`;|&]{1,600})"),
    re.compile(r"(?<![\w-])name=([^\s\"'`;|&,]{1,600}),push=true"),
)
_VALUE_FLAGS: Final = frozenset(
    {
        "-v",
        "-e",
        "-p",
        "-w",
        "-u",
        "-h",
        "-l",
        "-m",
        "--name",
        "--network",
        "--net",
        "--volume",
        "--env",
        "--publish",
        "--workdir",
        "--user",
        "--entrypoint",
        "--mount",
        "--hostname",
        "--label",
        "--platform",
        "--env-file",
        "--add-host",
        "--cpus",
        "--memory",
    }
)
_NO_IMAGE: Final = "scratch"
_QUOTES: Final = "\"'"


class Plausibility(Protocol):
    """Whether a word can be an image; ``bare`` admits words without path, tag and digest."""

    def __call__(self, token: str, *, bare: bool) -> bool: ...


def find_pulled(text: str, plausible: Plausibility) -> Iterator[Finding]:
    """The images that commands in a script pull, and those that its Dockerfiles begin with."""
    for match in _RUN.finditer(text):
        after_flag, at = "", match.end()
        while (found := _WORD.match(text, at)) is not None:
            word, at = found["word"], found.end()
            if word.startswith("-") or after_flag in _VALUE_FLAGS:
                after_flag = "" if after_flag in _VALUE_FLAGS else word
                continue
            start = found.end() - len(word.lstrip(_QUOTES))
            yield from _command(word.strip(_QUOTES), start, plausible)
            break
    yield from _bases(text, plausible)


def find_targets(text: str) -> frozenset[str]:
    """What a script tags or pushes: it makes these images itself."""
    if not _BUILD.search(text):
        return frozenset()
    return frozenset(match.group(1) for target in _TARGETS for match in target.finditer(text))


def _bases(text: str, plausible: Plausibility) -> Iterator[Finding]:
    # FROM begins a line of SQL too.
    is_dockerfile = _INSTRUCTION.search(text) is not None
    stages = {_NO_IMAGE}
    for match in _FROM.finditer(text):
        image = match["image"]
        tells = is_dockerfile or ":" in image or "@" in image or names_registry(image)
        if image not in stages and tells:
            yield from _command(image, match.start("image"), plausible)
        stages.add(match["stage"] or _NO_IMAGE)


def _command(token: str, start: int, plausible: Plausibility) -> Iterator[Finding]:
    if token.lower() == token and plausible(token, bare=True):
        yield Finding(token, start, start + len(token), COMMAND, COMMAND.why)
