"""Every error that std-daq raises on purpose.

::

    StdDaqError
    ├── ConfigError            the configuration, or a file that it names, is wrong        exit 2
    │   └── CalibrationError   a pedestal, gain or mask file is missing or does not fit    exit 2
    ├── ResourceError          the machine does not give what was asked for                exit 1
    │   ├── SharedMemoryError  a ring cannot be made, found or attached
    │   │   └── MissingRingError  nobody has made it yet
    │   └── PortError          an address or port is taken or not allowed
    ├── BrokerError            RabbitMQ is away or refuses
    │   └── MissingExchangeError  nobody has declared yet what others will
    ├── RequestRefusedError    a write request that will not be carried out
    ├── FileFormatError        an image file that is not what it should be
    └── CaptureError           a packet capture that cannot be read or written

In the data plane nothing raises per packet or image: services count and go on.
"""

import re
from pathlib import Path
from typing import Self

# Of a broker's URL, also where it stands for the path of a file.
_CREDENTIALS = re.compile(r"(amqps?:/+).*@", re.DOTALL | re.IGNORECASE)


class StdDaqError(Exception):
    """Root of all errors that std-daq raises on purpose."""

    exit_code = 1


class ConfigError(StdDaqError):
    """The configuration is wrong: says in which file, at which key, with which value, and what to do.

    Of a broker's URL user and password are left out, at whatever key it stands.
    """

    exit_code = 2

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
            text += f" (got {_without_credentials(repr(value))})"
        if remedy:
            text += f"; {remedy}"
        super().__init__(text)

    def in_file(self, file: Path | str) -> Self:
        """Return the same error with its file: models and detectors do not know where their values stood."""
        return type(self)(self.problem, file=file, key=self.key, value=self.value, remedy=self.remedy)


def _without_credentials(text: str) -> str:
    return _CREDENTIALS.sub(r"\1...@", text)


class CalibrationError(ConfigError):
    """A pedestal, gain or mask file is missing, unreadable or does not fit the detector."""


class ResourceError(StdDaqError):
    """The machine does not give what was asked for."""


class SharedMemoryError(ResourceError):
    """A ring cannot be made, found or attached."""


class MissingRingError(SharedMemoryError):
    """There is no ring at this path; its owner makes one sooner or later."""


class PortError(ResourceError):
    """An address or port is taken or not allowed."""


class BrokerError(StdDaqError):
    """RabbitMQ is away or refuses."""


class MissingExchangeError(BrokerError):
    """An exchange is not there yet; its owner declares it sooner or later."""


class RequestRefusedError(StdDaqError):
    """A write request will not be carried out; the text is the reason."""


class FileFormatError(StdDaqError):
    """An image file is not what it should be."""


class CaptureError(StdDaqError):
    """A packet capture cannot be read or written."""
