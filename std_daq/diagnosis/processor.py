"""Checks of the CPUs: their number, their clock, and whether the configured ones may be used."""

import os
from collections.abc import Iterator

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine, read_word
from std_daq.imaging.config.model import DetectorConfig


def cpus(config: DetectorConfig | None) -> Iterator[Finding]:
    """Check whether there are as many CPUs as the detector needs."""
    usable = os.sched_getaffinity(0)
    if config is None:
        yield Finding("CPUs", Level.OK, f"{len(usable)} may be used")
        return
    wanted = wanted_cpus(config)
    level = Level.OK if len(usable) >= wanted else Level.WARNING
    text = f"{len(usable)} may be used; {config.n_modules} modules at full rate need {wanted} or more"
    yield judge("CPUs", level, text, "lower the rate, or spread the receivers over several machines (udp.receivers)")


def wanted_cpus(config: DetectorConfig) -> int:
    """Return the number of CPUs that the detector needs at full rate, at least."""
    # One core can receive two JUNGFRAU modules at 2 kHz; one more is for the assembler and the writer.
    return max(config.n_modules // 2, 1) + 1


def governor(machine: Machine) -> Iterator[Finding]:
    """Check whether the governor lowers the CPU clock between packets; virtual machines show no governor."""
    folder = machine.sys / "devices" / "system" / "cpu"
    found = {read_word(path) for path in sorted(folder.glob("cpu[0-9]*/cpufreq/scaling_governor"))} - {""}
    if found:
        level = Level.OK if found == {"performance"} else Level.WARNING
        text = f"the governor of the clock is {', '.join(sorted(found))}"
        yield judge("CPU clock", level, text, "sudo cpupower frequency-set -g performance")
