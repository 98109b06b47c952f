"""A table of all images, for whatever else there is. Pure."""

from __future__ import annotations

import csv
import io

from airgap_importer.mirrors.outcome import Configuration
from airgap_importer.mirrors.records import Records

FILE = "images.csv"


def compose_table(records: Records) -> Configuration:
    """Source, target and digest of each image, a line each (RFC 4180, but for the line ends)."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["source", "target", "digest"])
    for image in sorted(records.images, key=lambda image: image.source.canonical):
        target = image.target
        tag = f":{target.tag}" if target.tag is not None else ""
        table.writerow([image.source.canonical, f"{target.name}{tag}", str(target.digest or "")])
    return Configuration({FILE: text.getvalue().encode()})
