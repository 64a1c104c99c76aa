"""Calls that the kernel refuses from now on, as on file systems that a test cannot mount: without locks, or full."""

import ctypes
import errno
import platform
import struct

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_NUMBERS = {
    "x86_64": {"flock": 73, "fallocate": 285, "renameat2": 316, "linkat": 265, "sync_file_range": 277},
    "aarch64": {"flock": 32, "fallocate": 47, "renameat2": 276, "linkat": 37, "sync_file_range": 84},
}
# linux/filter.h and linux/seccomp.h
_LOAD_NUMBER = (0x20, 0, 0, 0)
_JUMP_IF_EQUAL = 0x15
_RETURN = 0x06
_REFUSE = 0x00050000
_ALLOW = (_RETURN, 0, 0, 0x7FFF0000)


def refuse_calls(error: int, *names: str) -> None:
    """Let these calls of this process and its children fail with an error from now on; there is no way back."""
    rules = [_LOAD_NUMBER]
    for name in names:
        number = _NUMBERS[platform.machine()][name]
        rules += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE | error)]
    rules.append(_ALLOW)
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *rule) for rule in rules))
    program = struct.pack("@HP", len(rules), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def deny_locks() -> None:
    """Refuse every lock, as NFS does without its lock service."""
    refuse_calls(errno.ENOLCK, "flock")
