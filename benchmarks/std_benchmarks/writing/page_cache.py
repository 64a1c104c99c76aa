"""Memory for the page cache that is ready: a virtual machine's host takes back what lies free for some seconds."""

import os
from pathlib import Path

_BLOCK_BYTES = 2**21
_SPARE_BLOCKS = 20


def warm_page_cache(folder: Path, n_bytes: int) -> None:
    """Write a file of as many bytes and remove it, so that the next one gets its memory.

    What the host has taken back it returns page by page at the first touch, and a ``write`` takes up to ten times as
    long. Which of two that are compared this hits is luck.
    """
    path = folder / "warm"
    block = bytes(_BLOCK_BYTES)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        for _ in range(n_bytes // _BLOCK_BYTES + _SPARE_BLOCKS):
            os.write(fd, block)
    finally:
        path.unlink()
        os.close(fd)
