"""The checks of the services that a configuration needs: whether they would start, in the words of their refusals."""

from collections.abc import Iterator

from std_daq.config.platform import PlatformConfig
from std_daq.diagnosis.finding import Finding, Level
from std_daq.service.registry import check_wanted, wanted_instances


def start(config: PlatformConfig) -> Iterator[Finding]:
    """Run all checks of the services; what is wrong on every machine is raised.

    Raises
    ------
    StdDaqError
        The configuration, or a file that it names, is wrong on every machine.
    """
    for result in check_wanted(config, wanted_instances(config)):
        if result.error is None:
            yield Finding(result.check.subject, Level.OK, "as the services need it")
        elif result.check.is_of_machine:
            yield Finding(result.check.subject, Level.PROBLEM, str(result.error))
        else:
            raise result.error
