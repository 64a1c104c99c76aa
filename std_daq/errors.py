"""Every error that std-daq raises on purpose, and the exit code of a command that an error ends.

::

    StdDaqError                                                                            exit 1
    ├── ConfigError            the configuration, or a file that it names, is wrong        exit 2
    │   └── CalibrationError   a pedestal, gain or mask file is missing or does not fit    exit 2
    ├── ArgumentError          an argument of the command line is wrong                    exit 2
    ├── MissingExtraError      a library of an extra is not installed                      exit 2
    ├── ResourceError          the machine cannot provide what a service asked for
    │   ├── SharedMemoryError  a ring cannot be created, found or attached
    │   │   └── MissingRingError  the owner of a ring has not created it yet
    │   ├── PortError          an address or port is in use or not allowed
    │   │   └── AddressInUseError  another socket has it; it may be that of a service of the same system
    │   └── DeviceError        a GPU fails
    ├── BrokerError            RabbitMQ is unreachable, or refuses the connection or the message
    │   ├── MissingExchangeError  the owner of an exchange has not declared it yet
    │   ├── TagTakenError         another writer agent with the same tag is connected
    │   ├── BrokerBlockedError    the broker takes no messages now: its disk or memory is full
    │   └── MessageRefusedError   the broker refuses this message, and would refuse it again
    ├── RequestRefusedError    a write request will not be carried out                     exit 2
    ├── FileFormatError        an image file is damaged, or is not an image file
    ├── CaptureError           a packet capture cannot be read or written
    ├── ConsoleError           a console gives no answer, or refuses a request
    └── SimulationError        the photon simulation gives no answer, or one that cannot be used

In the data plane nothing raises for a single packet or image: services count the fault and continue.
"""

import re
import signal
from pathlib import Path
from typing import Self

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_CALL = 2

# What h5py raises if a file cannot be written, or holds something else than its readers expect: OSError, its
# translations of HDF5's other errors, and what numpy says to damaged sizes, types and texts.
HDF5_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    EOFError,
)

# User and password in a broker URL. Somebody may write the URL where a path belongs, and a path turns "//" into "/":
# therefore "/+".
_CREDENTIALS = re.compile(r"(amqps?:/+).*@", re.DOTALL | re.IGNORECASE)


# A value in a message is cut to this length.
_MAX_SHOWN_CHARS = 1000

# Whoever gave the path can mend these. A full disk, for example, is not among them.
_PATH_MISTAKES = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


class StdDaqError(Exception):
    """Root of all errors that std-daq raises on purpose."""

    exit_code = EXIT_FAILED


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a command or a service that this error ends.

    2 stands for what only another call can mend: a wrong argument, a wrong configuration, a path that is not there or
    not allowed. 128 + N stands for signal N, as in shells. Everything else is 1.
    """
    if isinstance(error, StdDaqError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return exit_code_of_signal(signal.SIGINT)
    if isinstance(error, _PATH_MISTAKES) and error.filename is not None:
        return EXIT_WRONG_CALL
    return EXIT_FAILED


def exit_code_of_signal(number: int) -> int:
    """Return the exit code of a command that a signal ended before its work was done."""
    return 128 + number


class ConfigError(StdDaqError):
    """The configuration is wrong; the message names the file, the key, the value and the remedy.

    The message never shows the user and password of a broker URL, whichever key holds the URL.
    """

    exit_code = EXIT_WRONG_CALL

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        key: str | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.key = key
        self.value = value
        self.remedy = remedy
        where = [part for part in (self.file, None if key is None else f"key '{key}'") if part]
        text = f"{': '.join(where)}: {problem}" if where else problem
        if value is not None:
            text += f" (got {shorten(_without_credentials(repr(value)), _MAX_SHOWN_CHARS)})"
        if remedy:
            text += f"; {remedy}"
        super().__init__(text)

    def in_file(self, file: Path | str) -> Self:
        """Return the same error with the file added; models and detectors do not know which file a value came from."""
        return type(self)(self.problem, file=file, key=self.key, value=self.value, remedy=self.remedy)


def shorten(text: str, max_chars: int) -> str:
    """Cut a text to a length, and mark the cut with dots."""
    return text if len(text) <= max_chars else f"{text[: max(max_chars - 3, 0)]}..."


def _without_credentials(text: str) -> str:
    return _CREDENTIALS.sub(r"\1...@", text)


class CalibrationError(ConfigError):
    """A pedestal, gain or mask file is missing, unreadable or does not fit the detector."""


class ArgumentError(StdDaqError):
    """An argument of the command line is wrong: says which one, with which value, and what to do.

    The text begins as that of `argparse` does, which finds most wrong arguments.
    """

    exit_code = EXIT_WRONG_CALL

    def __init__(self, argument: str, problem: str, *, value: object = None, remedy: str | None = None) -> None:
        text = f"argument {argument}: {problem}"
        if value is not None:
            text += f" (got '{value}')"
        if remedy:
            text += f"; {remedy}"
        super().__init__(text)


class MissingExtraError(StdDaqError):
    """A library of an extra of std-daq is not installed; the message says how to install it."""

    exit_code = EXIT_WRONG_CALL


class ResourceError(StdDaqError):
    """The machine cannot provide what a service asked for."""


class SharedMemoryError(ResourceError):
    """A ring cannot be created, found or attached."""


class MissingRingError(SharedMemoryError):
    """There is no ring at this path yet; retrying helps, because its owner creates it when it starts."""


class PortError(ResourceError):
    """An address or port is in use or not allowed."""


class AddressInUseError(PortError):
    """Another socket has this address; whether that is right depends on whose it is."""


class DeviceError(ResourceError):
    """A GPU fails: it has too little memory, does not fit its driver, or has stopped."""


class BrokerError(StdDaqError):
    """RabbitMQ is unreachable, or refuses the connection or the message."""


class MissingExchangeError(BrokerError):
    """An exchange does not exist yet; retrying helps, because its owner declares it when it starts."""


class TagTakenError(BrokerError):
    """Another writer agent with the same tag is connected to the broker."""


class BrokerBlockedError(BrokerError):
    """The broker takes no messages while an alarm is on; waiting helps once somebody makes room for it."""


class MessageRefusedError(BrokerError):
    """The broker refuses a message because of its content or length; sending it again does not help."""


class RequestRefusedError(StdDaqError):
    """A write request will not be carried out; the message is the reason that the client is told."""

    exit_code = EXIT_WRONG_CALL


class FileFormatError(StdDaqError):
    """An image file is damaged, or is not an image file."""


class CaptureError(StdDaqError):
    """A packet capture cannot be read or written."""


class ConsoleError(StdDaqError):
    """A console, std-web, gives no answer, or refuses a request; the message says why, and what to do."""


class SimulationError(StdDaqError):
    """A server of the photon simulation gives no answer in time, or one that cannot be used."""
