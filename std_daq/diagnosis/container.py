"""Containers: the limits of this process's control group, which may be below what the machine has."""

from collections.abc import Iterator
from dataclasses import dataclass

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine, read_number, read_word
from std_daq.diagnosis.memory import GB
from std_daq.diagnosis.processor import wanted_cpus
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.start_checks import planned_bytes

_MARKS = {".dockerenv": "Docker", "run/.containerenv": "Podman"}
# Version 1 of control groups has no value for "no limit"; it shows a number that no machine reaches.
_NO_LIMIT_BYTES = 2**60


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of memory and CPUs; None where there is no limit."""

    memory_bytes: int | None
    cpus: float | None


def container(machine: Machine, detector: Detector | None) -> Iterator[Finding]:
    """Check the limits of this container, or of the control group outside of containers."""
    kind = next((name for mark, name in _MARKS.items() if (machine.root / mark).exists()), None)
    limits = read_limits(machine)
    if kind is not None:
        yield Finding("container", Level.OK, f"this is a container of {kind}; all findings are as seen from inside it")
    if limits.memory_bytes is not None:
        yield _memory(limits.memory_bytes, detector)
    if limits.cpus is not None:
        yield _cpus(limits.cpus, detector)


def read_limits(machine: Machine) -> Limits:
    """Return the limits of the topmost control group, of version 2 or 1, that this process can see."""
    groups = machine.sys / "fs" / "cgroup"
    if (groups / "cgroup.controllers").exists():
        memory = read_number(groups / "memory.max")
        quota, _, period = read_word(groups / "cpu.max").partition(" ")
        cpus = int(quota) / int(period) if quota.isdigit() and period.isdigit() else None
    else:
        memory = read_number(groups / "memory" / "memory.limit_in_bytes")
        quota_us, period_us = (read_number(groups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        cpus = quota_us / period_us if quota_us and period_us and quota_us > 0 else None
    return Limits(None if memory is None or memory >= _NO_LIMIT_BYTES else memory, cpus)


def _memory(limit_bytes: int, detector: Detector | None) -> Finding:
    text = f"this container may use {limit_bytes / GB:.2f} GB"
    if detector is None:
        return Finding("memory limit", Level.OK, text)
    wanted = planned_bytes(detector.config, detector)
    return judge(
        "memory limit",
        Level.OK if wanted <= limit_bytes else Level.WARNING,
        f"{text}; rings of {wanted / GB:.2f} GB count as memory of the services that make them (udp_recv, assembler, "
        "stream_recv)",
        "raise the memory limit of these services (mem_limit, resources.limits.memory) above the size of their ring, "
        "or remove the limit",
    )


def _cpus(limit: float, detector: Detector | None) -> Finding:
    text = f"this container may use {limit:g} CPUs at a time"
    if detector is None:
        return Finding("CPU limit", Level.OK, text)
    wanted = wanted_cpus(detector.config)
    return judge(
        "CPU limit",
        Level.OK if limit >= wanted else Level.WARNING,
        f"{text}; {detector.config.n_modules} modules at full rate need {wanted} or more, in all containers together",
        "pin receivers to CPUs (cpuset) instead of a quota: when a quota is used up, receiving stops until the next "
        "period",
    )
