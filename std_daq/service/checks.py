"""Check: one thing that must be so before a service can work; the list of them says all for which a start is refused.

A service names its checks in its description. Its start runs them, ``std-daq up`` before it starts anything,
``std-daq config check`` and ``std-daq doctor`` without starting anything: all of them refuse with the same words.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from std_daq.config.paths import check_runtime_place
from std_daq.config.platform import PlatformConfig
from std_daq.errors import AddressInUseError, StdDaqError
from std_daq.service.record import read_records

Config = TypeVar("Config", bound=PlatformConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[Config]):
    """One check.

    Parameters
    ----------
    subject
        What is checked, in two or three words.
    run
        Raises StdDaqError, which says what is wrong, where, and what to do. It returns quickly, changes nothing, and
        leaves nothing open.
    is_of_machine
        Whether it depends on this machine: its folders, addresses, CPUs and memory. A configuration that fails only
        such checks may be right for another machine.
    is_part_of_start
        Whether the start of the service does the same by itself, and would do it twice.
    """

    subject: str
    run: Callable[[Config], object]
    is_of_machine: bool = False
    is_part_of_start: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of a check.

    Attributes
    ----------
    check
        The check.
    error
        Why services would not start; None if they would.
    """

    check: Check[Any]
    error: StdDaqError | None


def run_checks(config: PlatformConfig, checks: Iterable[Check[Any]]) -> Iterator[CheckResult]:
    """Run checks of a configuration without starting anything.

    Those of the machine come last, and only if no other has failed: they would fail for the same reason again. An
    address that a running service of the same system uses is no fault.
    """
    ordered = sorted(dict.fromkeys(checks), key=lambda check: check.is_of_machine)
    is_wrong_everywhere = False
    for check in ordered:
        if is_wrong_everywhere and check.is_of_machine:
            return
        error = _error_of(check, config)
        is_wrong_everywhere |= error is not None and not check.is_of_machine
        yield CheckResult(check, error)


def _error_of(check: Check[Any], config: PlatformConfig) -> StdDaqError | None:
    try:
        check.run(config)
    except AddressInUseError as error:
        return None if read_records(config) else error
    except StdDaqError as error:
        return error
    return None


def _check_metrics(config: PlatformConfig) -> None:
    from std_daq.service.presence import metrics_address
    from std_daq.telemetry.endpoint import check_endpoint

    check_endpoint(metrics_address(config.metrics), [0, *config.metrics.ports.values()])


PLATFORM_CHECKS: tuple[Check[Any], ...] = (
    Check(subject="runtime directory", run=check_runtime_place, is_of_machine=True, is_part_of_start=True),
    Check(subject="metrics", run=_check_metrics, is_of_machine=True, is_part_of_start=True),
)
