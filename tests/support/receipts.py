"""A receipt as an import leaves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airgap_importer.history.receipt import Receipt
from airgap_shared.bundle.admission import Step
from airgap_shared.oci.digest import Digest

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RECEIPT = Receipt(
    "shop",
    "stable",
    "1.5.2",
    15,
    Digest.of(b"statement"),
    NOW - timedelta(days=3),
    NOW + timedelta(days=100),
    ("SHA256:abc",),
    NOW,
    Step.NEWER,
    ("--now 2026-06-01",),
    "sha256:" + "1" * 64,
)
