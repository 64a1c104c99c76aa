"""What the kernel has dropped on a UDP port, seen from outside of the process that receives there."""

from pathlib import Path

_LOCAL, _DROPS = 1, -1


def kernel_drops(port: int, table: Path = Path("/proc/net/udp")) -> int:
    """Return the packets that were dropped on a port since its socket was made, for want of room or a bad checksum."""
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return sum(int(row[_DROPS]) for row in rows if int(row[_LOCAL].rpartition(":")[2], 16) == port)
