"""The memory of received messages, used again and again: fresh pages cost more than the copy into them."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# The most that glibc takes; larger blocks come from the kernel each time.
_LARGEST_BLOCK_BYTES = 32 * 2**20
_KEPT_BYTES = 256 * 2**20


def reuse_message_memory() -> None:
    """Have this process keep what it frees; does nothing where the C library is not glibc.

    Without this, glibc gives back blocks as large as the messages of an image when they are freed, and touches new
    pages for the next one: half of the processor time of receiving.
    """
    with suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
