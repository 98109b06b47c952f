"""The referrers API: the lists that a registry keeps, page by page.

See distribution-spec 1.1, Listing Referrers. Filters are not asked for: they may be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from airgap_shared.errors import Denied, LimitExceeded, RegistryRejected
from airgap_shared.oci import mediatype
from airgap_shared.oci.manifest import MANIFEST_LIMIT
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.origins import next_page
from airgap_shared.stores.retrying import retry
from airgap_shared.stores.settings import Patience

_PAGE_LIMIT = 1_000
#: RFC 8288; registries send one link, ``<…>; rel="next"``.
_NEXT = re.compile(r'<([^<>]*)>\s*;(?:[^,<]*;)?\s*rel="?next"?(?:\s*[;,]|\s*$)', re.IGNORECASE)
#: More than any link is long, and little to search.
_LINK_LIMIT = 16 << 10


@dataclass(frozen=True, slots=True)
class ReferrerPages:
    """What one registry lists for one subject; ``request`` asks for the first page."""

    exchange: Callable[[Request], Answer]
    request: Request
    patience: Patience

    def read(self) -> Iterator[bytes] | None:
        """The pages, each an image index; nothing where the registry has no such API.

        One that has none, or keeps it from us, refuses the question in one way or another. After
        the first page every refusal is an error: half a list is none.

        Raises:
            RegistryError: no answer; or a refusal after the first page.
            LimitExceeded: a page over 4 MiB, or more than 1,000 of them.
            UnsafeRedirect: the next page is elsewhere.

        """
        request = replace(self.request, accepted=(200, 404))
        try:
            first = self._page(request)
        except (RegistryRejected, Denied):
            return None
        return None if first is None else self._pages(first, request)

    def _pages(self, page: tuple[bytes, str], request: Request) -> Iterator[bytes]:
        for _ in range(_PAGE_LIMIT):
            raw, following = page
            yield raw
            if not following:
                return
            following = next_page(request.url, following, request.where)
            request = replace(request, url=following)
            found = self._page(request)
            if found is None:
                raise RegistryRejected("a page of the referrers is missing", where=request.where)
            page = found
        raise LimitExceeded(f"more than {_PAGE_LIMIT} pages of referrers", where=request.where)

    def _page(self, request: Request) -> tuple[bytes, str] | None:
        """The content of a page and the address of the next one, empty for none."""

        def get() -> tuple[bytes, str] | None:
            answer = self.exchange(request)
            kind = answer.headers.get("content-type", "").partition(";")[0].strip()
            if answer.status != 200 or kind != mediatype.OCI_INDEX:
                answer.close()
                return None
            raw = answer.body(MANIFEST_LIMIT)
            if raw is None:
                raise LimitExceeded(f"a list over {MANIFEST_LIMIT} bytes", where=request.where)
            links = answer.headers.get("link", "")
            if len(links) > _LINK_LIMIT:
                raise LimitExceeded(f"links over {_LINK_LIMIT} bytes", where=request.where)
            link = _NEXT.search(links)
            return raw, link[1] if link else ""

        return retry(get, self.patience)
