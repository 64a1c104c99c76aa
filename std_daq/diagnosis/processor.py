"""CPUs: how many, how clocked, and whether those that the configuration names are there."""

import os
from collections.abc import Iterator

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine, read_word
from std_daq.imaging.config.model import DetectorConfig


def cpus(config: DetectorConfig | None) -> Iterator[Finding]:
    """Judge whether there are as many CPUs as receiving takes."""
    usable = os.sched_getaffinity(0)
    if config is None:
        yield Finding("CPUs", Level.OK, f"{len(usable)} may be used")
        return
    wanted = wanted_cpus(config)
    level = Level.OK if len(usable) >= wanted else Level.WARNING
    text = f"{len(usable)} may be used; {config.n_modules} modules at full rate take {wanted} or more"
    yield judge("CPUs", level, text, "lower the rate, or spread the receivers over several machines (udp.receivers)")
    missing = sorted(set(config.udp.cpus or ()) - usable)
    if missing:
        yield Finding("CPUs", Level.PROBLEM, f"udp.cpus names {missing}, which may not be used", "change udp.cpus")


def wanted_cpus(config: DetectorConfig) -> int:
    """Return how many CPUs the detector takes at full rate, at least."""
    # One core takes two JUNGFRAU modules at 2 kHz; the assembler and the writer want theirs, too.
    return max(config.n_modules // 2, 1) + 1


def governor(machine: Machine) -> Iterator[Finding]:
    """Judge whether the CPUs are held back between packets; virtual machines do not tell."""
    folder = machine.sys / "devices" / "system" / "cpu"
    found = {read_word(path) for path in sorted(folder.glob("cpu[0-9]*/cpufreq/scaling_governor"))} - {""}
    if found:
        level = Level.OK if found == {"performance"} else Level.WARNING
        text = f"the clock is governed by {', '.join(sorted(found))}"
        yield judge("CPU clock", level, text, "sudo cpupower frequency-set -g performance")
