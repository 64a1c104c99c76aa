from pathlib import Path

import pytest

from std_daq.diagnosis.finding import Finding, Level
from std_daq.diagnosis.machine import Machine
from std_daq.diagnosis.multicast import group
from std_daq.packets.udp_place import UdpPlace

IGMP = """Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
2\teth1      :     2      V3
\t\t\t\t030201EF     1 0:00000000\t\t0
\t\t\t\t010000E0     1 0:00000000\t\t0
"""
IGMP6 = "2    eth1            ff150000000000000000000000001234     1 00000004 0\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "proc", tmp_path / "sys", tmp_path / "root")
    for path, text in {
        machine.sys / "class/net/lo/flags": "0x9",
        machine.proc / "sys/net/ipv4/conf/all/rp_filter": "0",
        machine.proc / "sys/net/ipv4/conf/lo/rp_filter": "2",
        machine.proc / "net/igmp": IGMP,
        machine.proc / "net/igmp6": IGMP6,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}")
    return machine


def of(machine: Machine, address: str, interface: str | None = None) -> list[Finding]:
    return list(group(machine, UdpPlace.of(address, interface)))


def test_an_address_is_no_group(machine: Machine) -> None:
    assert of(machine, "127.0.0.1") == []


def test_a_group_that_can_come_has_no_finding_to_mend(machine: Machine) -> None:
    findings = of(machine, "239.1.2.3", "lo")
    assert {one.level for one in findings} == {Level.OK}
    assert findings[-1].text == "the group 239.1.2.3 is joined at eth1"


def test_a_group_of_ipv6_is_found_among_those_joined(machine: Machine) -> None:
    assert of(machine, "ff15::1234")[-1].text == "the group ff15::1234 is joined at eth1"
    assert "joined by nobody now" in of(machine, "ff15::1235")[-1].text


def test_an_interface_without_multicast_is_a_problem(machine: Machine) -> None:
    (machine.sys / "class/net/lo/flags").write_text("0x1\n")
    assert of(machine, "239.1.2.3", "lo")[0].level is Level.PROBLEM
    assert of(machine, "239.1.2.3", "lo")[0].remedy == "sudo ip link set lo multicast on"


def test_a_strict_filter_of_return_paths_is_a_warning(machine: Machine) -> None:
    (machine.proc / "sys/net/ipv4/conf/lo/rp_filter").write_text("1\n")
    finding = of(machine, "239.1.2.3", "lo")[1]
    assert finding.level is Level.WARNING
    assert finding.remedy.endswith("net.ipv4.conf.lo.rp_filter=2")
