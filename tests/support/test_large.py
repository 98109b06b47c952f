"""The bytes of a large layer are where they are said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.images import GeneratedContent
from support.large import write_large_bundle

_SIZE = 3 << 20


@pytest.mark.parametrize("at", [0, 1, 131_071, 131_072, _SIZE // 2, _SIZE - 1])
def test_a_byte_is_found_and_changed(tmp_path: Path, at: int) -> None:
    large = write_large_bundle(tmp_path, _SIZE)
    whole = large.path.read_bytes()
    position = large.position_of(at)
    assert whole[position] == b"".join(GeneratedContent(_SIZE).chunks())[at]
    large.flip(position)
    assert large.path.read_bytes()[position] == whole[position] ^ 1
    large.flip(position)
    assert large.path.read_bytes() == whole
