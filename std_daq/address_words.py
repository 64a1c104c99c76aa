"""Why an address or a port cannot be used, in words of whoever chose it, and with what to do."""

import errno
import os
import socket

from std_daq.errors import AddressInUseError, PortError

_WORDS = {
    errno.EADDRNOTAVAIL: "no interface of this machine has this address: take one that `ip address` shows",
    errno.EADDRINUSE: "Address already in use: `ss -lnptu` shows by which program; end it, or take another port",
    errno.EACCES: "this user may not use it: ports below 1024 and broadcast addresses need rights of their own",
    errno.EPERM: "this user, or a firewall of this machine, does not allow it",
    errno.ENETUNREACH: "no route leads there: `ip route get ADDRESS` tells the same",
    errno.EHOSTUNREACH: "this host does not answer, or no route leads there",
    errno.ECONNREFUSED: "nobody listens there: start the program that does",
    errno.ENODEV: "no interface has this name, or the address in it is none: `ip address` shows those that are there",
    errno.EINVAL: "it is no address of the right form, or its port is not a number from 1 to 65535",
    errno.ENAMETOOLONG: "the path of a socket may have 107 bytes: take a shorter one",
    errno.ENOENT: "there is no such folder, or no such file: the program that makes it does not run",
    errno.ENOTDIR: "a part of this path is no folder",
    errno.EAFNOSUPPORT: "this machine has no addresses of this kind (IPv4 or IPv6)",
}
_UNKNOWN_NAMES = {socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL}


def address_in_words(error: Exception) -> str:
    """Return why an address could not be used.

    Parameters
    ----------
    error
        An OSError, also that of a name that nobody could look up, or a ZMQError, whose own text repeats the address.
    """
    if isinstance(error, socket.gaierror):
        known = "no host of this name is known: is it written right, and does `getent hosts NAME` find it?"
        return known if error.errno in _UNKNOWN_NAMES else f"its name cannot be looked up: {error.strerror}"
    number = getattr(error, "errno", None)
    return number_in_words(number) if isinstance(number, int) else str(error)


def address_error(what: str, error: Exception, key: str) -> PortError:
    """Return the error for an address that cannot be opened; `AddressInUseError` if another socket has it.

    Parameters
    ----------
    what
        What failed, with its address: ``live stream tcp://eth9:20000 cannot be bound``.
    error
        As of `address_in_words`.
    key
        Key or option that gives the address.
    """
    kind = AddressInUseError if getattr(error, "errno", None) == errno.EADDRINUSE else PortError
    return kind(f"{what}: {address_in_words(error)} (set by {key})")


def number_in_words(number: int) -> str:
    """Return what the number of an error says of an address."""
    return _WORDS.get(number) or os.strerror(number)
