"""What the operating system says about a file being written, as an error of ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap_shared.errors import AirgapError, DiskFull, OutputNotWritable


@contextmanager
def output_faults(path: Path) -> Iterator[None]:
    """Raise what goes wrong with the file at ``path``, or one beside it, as DiskFull and the like.

    Raises:
        DiskFull: no space left, or the file system takes no file this large.
        OutputNotWritable: anything else.

    """
    try:
        yield
    except AirgapError:
        raise
    except OSError as problem:
        if problem.errno == errno.EFBIG:
            raise DiskFull(
                "the file system takes no file this large",
                where=str(path.parent),
                next_step="write the bundle in parts: run again with --split SIZE, for FAT32"
                " --split 4G; or choose another --output",
            ) from problem
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                "no space left",
                where=str(path.parent),
                next_step="choose another --output, or make room and run again",
            ) from problem
        what = "it is a link" if problem.errno == errno.ELOOP else problem.strerror or problem
        raise OutputNotWritable(f"cannot write the bundle: {what}", where=str(path)) from problem
