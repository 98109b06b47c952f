"""The error tree: grouped by what the reader does next, the exit code on the class.

The class name is part of the interface: it is what is printed after ``error:`` and what scripts
match. The groups follow the exit codes of the documentation (docs/exit-codes.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class AirgapError(Exception):
    """A failure with a name, a place, what was and was not changed, and the next step.

    ``what`` is one sentence without a full stop; ``where`` a file, object, reference or host;
    ``details`` further lines (one failure each) when several were found together. ``where``,
    ``changed`` and ``next_step`` may be filled in by a caller that knows more, through
    :meth:`explain`; ``advice`` is the next step where nobody knows a better one.
    """

    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = "report it"

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        changed: str = "",
        next_step: str = "",
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.changed = changed
        self.next_step = next_step
        self.details = tuple(details)

    @property
    def name(self) -> str:
        """The stable name of this failure, for people and for scripts."""
        return type(self).__name__

    def explain(self, *, where: str = "", changed: str = "", next_step: str = "") -> None:
        """Fill in what the raiser could not know; what is already said stays."""
        self.where = self.where or where
        self.changed = self.changed or changed
        self.next_step = self.next_step or next_step

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}{place}"


class InternalError(AirgapError):
    """A fault of this program."""

    advice = "this is a fault of this program; run again with AIRGAP_DEBUG=1 and report it"


# 2: usage, configuration, key files -------------------------------------------------------------


class UsageError(AirgapError):
    """The command line or a file it names asks for something impossible."""

    exit_code = 2
    advice = "correct what is named, and run again"


class NoTrustConfigured(UsageError):
    """Neither a key nor a policy says whom to trust."""

    advice = "say whom to trust: --key FILE.pub or --policy FILE"


class KeyFileInvalid(UsageError):
    """A key file cannot be used."""

    advice = "check the file, or name another one"


class SignerFailed(UsageError):
    """The program that should sign cannot be run, or gives no signature."""

    advice = "run that program by itself, and mend it"


class PolicyInvalid(UsageError):
    """A trust policy contradicts itself, cannot be read, or does not follow the one in force."""

    advice = "mend the policy, or name another one"


class ManifestSourceInvalid(UsageError):
    """A manifest given by the user cannot be read as Kubernetes reads it."""

    advice = "mend that file"


class RulesInvalid(UsageError):
    """A rules file has mistakes."""

    advice = "mend the rules file"


class CredentialsInvalid(UsageError):
    """Credentials cannot be read, or hold what no request can carry."""

    advice = "mend the credentials file, or name another one"


# 10: bundle format: copy the bundle again -------------------------------------------------------


class BundleFormatError(AirgapError):
    """The file is not a well-formed bundle."""

    exit_code = 10
    advice = "copy it again"


class NotABundle(BundleFormatError):
    """The file does not begin like a bundle."""


class BundleTruncated(BundleFormatError):
    """The file ends before the bundle does."""


class BundleCorrupt(BundleFormatError):
    """The container (zstd frames, seek table) is damaged."""


class TrailingData(BundleFormatError):
    """There is something after the end of the bundle."""


class MemberUnexpected(BundleFormatError):
    """A member that the signed statement does not list."""


class MemberMismatch(BundleFormatError):
    """A member's header differs from the one the signed statement implies."""


class BadPadding(BundleFormatError):
    """The padding after a member, or the end of the archive, is not zero bytes."""


class EnvelopeInvalid(BundleFormatError):
    """The signature envelope cannot be read."""


class FormatUnsupported(BundleFormatError):
    """A bundle of a later format, or one that needs what this tool does not know."""

    advice = "use a newer airgap-import"


class PartMissing(BundleFormatError):
    """A part of a split bundle is missing, cut off, or not the one that belongs there."""


class PartIndexInvalid(BundleFormatError):
    """The index of a split bundle cannot be read, or contradicts the parts."""


# 11: signature ----------------------------------------------------------------------------------


class SignatureError(AirgapError):
    """The bundle is not signed the way this site trusts."""

    exit_code = 11
    advice = "ask the sender; trying again does not help"


class SignatureMissing(SignatureError):
    """No signature at all."""


class SignatureInvalid(SignatureError):
    """A trusted key's signature does not fit the content."""


class KeyUntrusted(SignatureError):
    """Signed, but by no key that is trusted here."""


class KeyRevoked(SignatureError):
    """Signed by a key that is revoked here."""


class KeyExpired(SignatureError):
    """Signed by a key outside the time for which it is trusted here."""


class SignatureThresholdNotMet(SignatureError):
    """Signed by fewer trusted keys than the policy asks for."""


class PayloadMismatch(SignatureError):
    """A detached signature is about something else."""


class PayloadTypeUnsupported(SignatureError):
    """What is signed is not an in-toto statement."""


class PredicateTypeUnsupported(SignatureError):
    """What is signed is a statement, but not about a bundle."""


class StatementInvalid(SignatureError):
    """The signed statement does not follow the bundle specification."""


class ImageSignatureInvalid(SignatureError):
    """Images are not signed by the keys that --verify-image-key asks for."""


# 12: policy: properly signed, but not to be imported here or now ---------------------------------


class PolicyError(AirgapError):
    """A properly signed bundle that this site does not take."""

    exit_code = 12
    advice = "ask the sender for a release that fits"


class AppNotAllowed(PolicyError):
    """The policy does not allow this application, or not into this registry."""

    advice = "if it is meant, have the policy changed"


class AppMismatch(PolicyError):
    """The bundle is of another application than the one that was asked for."""

    advice = "check that it is the right bundle"


class BundleExpired(PolicyError):
    """The bundle is past its time, or older than the policy allows."""


class BundleStale(PolicyError):
    """The newest bundle that was imported is past its time: a newer one is due."""

    advice = "import a newer bundle"


class RollbackDetected(PolicyError):
    """The bundle is older than one that was imported."""


class Equivocation(PolicyError):
    """Two different bundles claim to be the same release."""


class SequenceJump(PolicyError):
    """The bundle's sequence is so high that nothing could follow it."""


class ClockSkew(PolicyError):
    """The bundle was made in the future, by this machine's clock."""

    advice = "check the clock of this machine"


class ClockWentBackwards(PolicyError):
    """The clock of this machine is behind the time it showed at an earlier import."""

    advice = "check the clock of this machine"


# 13: integrity: copy the bundle again -----------------------------------------------------------


class IntegrityError(AirgapError):
    """Bytes are not those that were promised."""

    exit_code = 13
    advice = "copy it again"


class DigestMismatch(IntegrityError):
    """Content does not have its digest."""


class SizeMismatch(IntegrityError):
    """Content does not have its size."""


# 14: hostile, over a limit, or not representable ------------------------------------------------


class ContentRefused(AirgapError):
    """Content that is never accepted, whoever signed it."""

    exit_code = 14
    advice = "have it corrected where it comes from"


class LimitExceeded(ContentRefused):
    """A count or size is over the limit of the specification."""


class WindowTooLarge(ContentRefused):
    """A zstd frame asks for more memory than the specification allows."""


class ForeignLayer(ContentRefused):
    """A layer that lives outside registries and could not be had from one."""


class DigestUnsupported(ContentRefused):
    """A digest that is malformed or of an unknown algorithm."""


class MediaTypeUnsupported(ContentRefused):
    """A manifest of a kind this tool does not carry."""


class AmbiguousManifest(ContentRefused):
    """A manifest that different readers could understand differently."""


class DuplicateJSONKey(ContentRefused):
    """A JSON object names the same key twice."""


class DocumentInvalid(ContentRefused):
    """A JSON document lacks a field or has one of the wrong type."""


class DescriptorUnresolved(ContentRefused):
    """A manifest refers to content that the bundle does not hold."""


class ImageReferenceInvalid(ContentRefused):
    """Text that is no image reference stands where one must."""


class TargetCollision(ContentRefused):
    """Two different images would get the same name in the target registry."""

    advice = "choose another --naming"


class UnrewrittenImage(ContentRefused):
    """After rewriting, an image field does not point at verified content in the target."""


class OverlayRefused(ContentRefused):
    """kustomize refuses the application's objects as they are."""


class YamlTooDeep(ContentRefused):
    """YAML nested deeper than the limit."""


class YamlAliasLimit(ContentRefused):
    """YAML aliases or merge keys that would grow beyond the limit."""


class YamlDuplicateKey(ContentRefused):
    """A YAML mapping names the same key twice."""


class YamlTagUnsupported(ContentRefused):
    """A YAML tag that asks for something other than Kubernetes' plain values."""


class TextEncodingInvalid(ContentRefused):
    """A text that is not UTF-8, or holds characters that no text file may hold."""


class RemoteBaseForbidden(ContentRefused):
    """A kustomization that takes parts of the application from elsewhere while it is built."""


class PluginForbidden(ContentRefused):
    """A kustomization that runs programs while it is built."""


class UndecidedImages(ContentRefused):
    """--strict: image-like text was found that nobody has judged."""

    advice = "decide about each in a rules file"


# 20-25: registries ------------------------------------------------------------------------------


class RegistryError(AirgapError):
    """A registry could not be used."""

    exit_code = 20
    advice = "run the same command again later"


class RegistryUnavailable(RegistryError):
    """No usable answer within the retry budget; ``status`` is that of the last, if any came."""

    status: int = 0


class RegistryTimeout(RegistryError):
    """The registry stopped answering."""


class RateLimited(RegistryError):
    """The registry asks to come back later than we are prepared to wait."""


class RegistryAuthError(RegistryError):
    """The registry does not let this identity do this."""

    exit_code = 21
    advice = "check the credentials, and what they allow"


class AuthFailed(RegistryAuthError):
    """The credentials are wrong, missing or could not be fetched."""


class Denied(RegistryAuthError):
    """The credentials are right but lack a permission."""


class RegistryRejected(RegistryError):
    """The registry understood and refused; trying again will not help.

    ``status`` is that of its answer, 0 where that is not what it was refused by.
    """

    exit_code = 22
    advice = "ask whoever keeps the registry"
    status: int = 0


class RepositoryMissing(RegistryRejected):
    """A repository, or what holds it, has to be created before it can be pushed to."""


class ManifestNotTaken(RegistryRejected):
    """The registry is of a kind that is known to refuse such manifests; nothing was sent."""


class ReferrersTagConflict(RegistryRejected):
    """The tag that has to list the referrers of a digest holds something else."""


class TagConflict(RegistryError):
    """A tag exists in the target and names something else."""

    exit_code = 23
    advice = "decide: --move-tags, or another --image-namespace"


class TagImmutable(RegistryError):
    """The registry does not let this tag be moved or written again."""

    exit_code = 23
    advice = "decide: another rule for tags, or another --image-namespace"


class RegistryIntegrityError(RegistryError):
    """The registry holds or returns other bytes than were pushed."""

    exit_code = 24
    advice = "have the registry mended, and run again"


class RegistryBlobCorrupt(RegistryIntegrityError):
    """The registry reports a blob with another size than it was pushed with."""


class RegistryIntegrity(RegistryIntegrityError):
    """What is read back is not what was pushed."""


class RegistryUnsafe(RegistryError):
    """Going on would send secrets or content where they do not belong."""

    exit_code = 25
    advice = "ask whoever keeps the registry"


class UnsafeUploadLocation(RegistryUnsafe):
    """The registry sends the upload to another origin."""


class UnsafeRedirect(RegistryUnsafe):
    """A redirect that must not be followed."""


class UnsafeTokenRealm(RegistryUnsafe):
    """The registry asks to show the credentials to another host."""


class TLSVerifyFailed(RegistryUnsafe):
    """The registry's certificate could not be verified."""

    advice = "name the authority that signed its certificate: --ca-file FILE"


class PlainHttpRefused(RegistryUnsafe):
    """The registry speaks plain http and nobody allowed that."""

    advice = "if plain http is meant, allow it: --plain-http"


# 30-32: local files, locks, state ---------------------------------------------------------------


class LocalError(AirgapError):
    """The local machine is in the way."""

    exit_code = 30
    advice = "mend it, and run again"


class DiskFull(LocalError):
    """No space left."""

    advice = "make room, and run again"


class OutOfMemory(LocalError):
    """No memory left."""

    advice = "give the command more memory, then run it again; fewer --jobs need less"


class MediaReadError(LocalError):
    """The medium could not be read."""

    advice = "check the name, and that it can be read"


class OutputNotWritable(LocalError):
    """An output file cannot be written."""

    advice = "choose another place, or have it made writable"


class OverlayNotWritable(LocalError):
    """The overlay directory cannot be written."""

    advice = "choose another --output, or have it made writable"


class StateNotWritable(LocalError):
    """What an import is remembered by cannot be written."""

    advice = "have it made writable, or name another --state-dir"


class RendererFailed(LocalError):
    """The program that renders overlays was ended by a signal, or failed without a word."""

    advice = "give it more memory, or take it out of PATH and have airgap-import render"


class OverlayNotOurs(LocalError):
    """The output directory holds something this tool did not make."""

    advice = "choose another --output"


class Locked(LocalError):
    """Another run is at work on the same place."""

    exit_code = 31
    advice = "wait for the other run"


class StateCorrupt(LocalError):
    """What an earlier run noted cannot be understood."""

    exit_code = 32
    advice = "compare with a copy, or bring one back"


# 40: the sources of create ----------------------------------------------------------------------


class SourceError(AirgapError):
    """An image could not be had from where it should come from."""

    exit_code = 40
    advice = "check the source registry, and run again"


class UpstreamUnavailable(SourceError):
    """A source registry could not be reached."""

    advice = "run the same command again later"


class UpstreamDigestMismatch(SourceError):
    """A source registry returned other bytes than the digest asks for."""

    advice = "have the source registry mended, or bundle another digest"


class UpstreamNotFound(SourceError):
    """An image, or a platform of it, does not exist where it should come from."""

    advice = "check the name, and that the source registry holds it"


class ImagesUnresolved(SourceError):
    """Several images could not be had, for different reasons."""


class Interrupted(AirgapError):
    """Stopped by a signal."""

    exit_code = 130
    advice = "run the same command again to go on"
