"""From objects to the inventory of images: what is bundled, and what somebody must judge. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airgap_shared.errors import AirgapError, ImageReferenceInvalid, UsageError
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.imagerules import FIELD_RULES
from airgap_shared.kube.imagetokens import is_placeholder
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.ruleset import DEFAULT_RULES, RuleSet
from airgap_shared.kube.uses import ImageUse, Verdict
from airgap_shared.oci.reference import Reference, parse_reference

FORMAT = 1
GIVEN_RULE = "given"
_CERTAIN = frozenset(rule.name for rule in FIELD_RULES)
_SHOUTED = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class GivenImage:
    """A reference that the user gave: by a flag, or on a line of an images file."""

    reference: Reference
    origin: str


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a text stands, as reports show it; ``object`` is empty for given images."""

    file: str
    object: str
    path: str
    rule: str
    text: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """The use as an object of the inventory document."""
        return {
            "file": self.file,
            "object": self.object,
            "path": self.path,
            "rule": self.rule,
            "text": self.text,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class InventoryImage:
    """An image to bundle: what it is, how it is spelled, where it is used."""

    reference: Reference
    literals: tuple[str, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class ImageLike:
    """A text that is not bundled, and where it stands."""

    text: str
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class ImageInventory:
    """All that was found: images by canonical reference, the others by text, each sorted."""

    images: tuple[InventoryImage, ...]
    undecided: tuple[ImageLike, ...]
    ignored: tuple[ImageLike, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """The images to bundle."""
        return tuple(image.reference for image in self.images)

    @property
    def literals(self) -> Mapping[str, tuple[str, ...]]:
        """Every spelling in use, by canonical reference."""
        return {image.reference.canonical: image.literals for image in self.images}


def discover(
    objects: Iterable[KubeObject],
    given: Sequence[GivenImage] = (),
    rules: RuleSet = DEFAULT_RULES,
) -> ImageInventory:
    """Find the images of an application, and add those that the user gave.

    Raises:
        LimitExceeded: an object holds more text than anybody would write.

    """
    return take_inventory((use for obj in objects for use in find_images(obj, rules)), given)


def take_inventory(uses: Iterable[ImageUse], given: Sequence[GivenImage] = ()) -> ImageInventory:
    """Put together what was found, and what the user gave."""
    images: dict[str, list[tuple[Reference, Use]]] = {}
    others: dict[Verdict, dict[str, list[Use]]] = {Verdict.UNDECIDED: {}, Verdict.IGNORED: {}}
    for found in uses:
        use = _use(found)
        if found.verdict is Verdict.IMAGE:
            reference = parse_reference(found.text, found.place)
            images.setdefault(reference.canonical, []).append((reference, use))
        else:
            others[found.verdict].setdefault(found.text, []).append(use)
    for image in given:
        text = str(image.reference)
        use = Use(image.origin, "", "", GIVEN_RULE, text, "the user asks for it")
        images.setdefault(image.reference.canonical, []).append((image.reference, use))
    return ImageInventory(
        tuple(_image(entries) for _, entries in sorted(images.items())),
        _image_like(others[Verdict.UNDECIDED]),
        _image_like(others[Verdict.IGNORED]),
    )


def refuse_impossible(uses: Iterable[ImageUse]) -> None:
    """Refuse what stands where a container's image must and can never be one.

    Placeholders are left to whoever fills them in; what a rules file ignores is left alone.

    Raises:
        ImageReferenceInvalid: no reference, and nothing that becomes one; all are named together.

    """
    impossible = [
        use
        for use in uses
        if use.rule in _CERTAIN and use.verdict is Verdict.UNDECIDED and not _awaits(use.text)
    ]
    if impossible:
        raise ImageReferenceInvalid(
            f"{len(impossible)} container images are no image references",
            where=impossible[0].place,
            changed="nothing was written",
            next_step="correct them, or ignore them in a rules file (--rules)",
            details=[f"{use.place}: {use.text!r}: {use.reason}" for use in impossible],
        )


def parse_given_image(text: str, origin: str = "--image") -> GivenImage:
    """Read a reference from the command line.

    Raises:
        UsageError: it is no reference.

    """
    try:
        return GivenImage(parse_reference(text), origin)
    except ImageReferenceInvalid as problem:
        raise UsageError(problem.what, where=origin) from problem


def parse_images_file(content: bytes, name: str) -> tuple[GivenImage, ...]:
    """Read a file with one reference a line; empty lines and ``#`` comments are left out.

    Raises:
        UsageError: the file is not UTF-8, or lines are no references; all are named together.

    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError("the images file is not UTF-8 text", where=name) from error
    given: list[GivenImage] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        text = _without_comment(line)
        if not text:
            continue
        try:
            given.append(parse_given_image(text, f"{name}:{number}"))
        except AirgapError as problem:
            problems.append(f"{name}:{number}: {problem.what}")
    if problems:
        raise UsageError(
            "the images file holds lines that are no image reference", where=name, details=problems
        )
    return tuple(given)


def inventory_document(inventory: ImageInventory) -> dict[str, object]:
    """The inventory as JSON writes it: ``format`` 1, ``images``, ``undecided``, ``ignored``."""
    return {
        "format": FORMAT,
        "images": [
            {
                "reference": image.reference.canonical,
                "literals": list(image.literals),
                "uses": [use.to_json() for use in image.uses],
            }
            for image in inventory.images
        ],
        "undecided": [_document(entry) for entry in inventory.undecided],
        "ignored": [_document(entry) for entry in inventory.ignored],
    }


def _awaits(text: str) -> bool:
    """Whether somebody is to put an image here: a template, or a word like IMAGE_NAME."""
    return is_placeholder(text) or _SHOUTED.fullmatch(text) is not None


def _without_comment(line: str) -> str:
    text = line.strip()
    return "" if text.startswith("#") else text.partition(" #")[0].strip()


def _use(found: ImageUse) -> Use:
    path = str(found.path) + "".join(map(str, found.inside))
    obj = found.object
    return Use(obj.file, str(obj.identity), path, found.rule, found.text, found.reason)


def _image(entries: Sequence[tuple[Reference, Use]]) -> InventoryImage:
    reference = parse_reference(entries[0][0].canonical)
    literals = tuple(sorted({str(reference) for reference, _ in entries}))
    return InventoryImage(reference, literals, tuple(use for _, use in entries))


def _image_like(found: Mapping[str, Sequence[Use]]) -> tuple[ImageLike, ...]:
    return tuple(ImageLike(text, tuple(uses)) for text, uses in sorted(found.items()))


def _document(entry: ImageLike) -> dict[str, object]:
    return {"reference": entry.text, "uses": [use.to_json() for use in entry.uses]}
