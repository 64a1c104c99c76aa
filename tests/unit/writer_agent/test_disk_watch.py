"""DiskWatch: the room on the disks of the output roots; what cannot be looked at is not shown."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace

from prometheus_client import CollectorRegistry

from std_test_kit.wait import wait_until
from std_writer_agent.disk_watch import DiskSpace, DiskWatch


def test_room_is_shown_again_and_again_and_not_where_a_root_has_gone(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    free = {"/a": 700, "/b": 300}

    def space_of(root: str) -> DiskSpace:
        if root not in free:
            raise FileNotFoundError(root)
        return SimpleNamespace(total=1000, free=free[root])

    def shown(root: str) -> float | None:
        return registry.get_sample_value("daq_disk_free_bytes", {"root": root})

    watch = DiskWatch(registry, ["/a", "/b"], period_s=0.01, disk_space=space_of)
    try:
        wait_until(lambda: (shown("/a"), shown("/b")) == (700, 300), 10.0)
        del free["/a"]
        free["/b"] = 200
        wait_until(lambda: (shown("/a"), shown("/b")) == (None, 200), 10.0)
        assert registry.get_sample_value("daq_disk_size_bytes", {"root": "/a"}) is None
        free["/a"] = 600
        wait_until(lambda: shown("/a") == 600, 10.0)
    finally:
        watch.close()


def test_disk_that_hangs_holds_up_nobody() -> None:
    hangs = Event()

    def space_of(root: str) -> DiskSpace:
        hangs.wait(30.0)
        return SimpleNamespace(total=1000, free=1)

    registry = CollectorRegistry()
    watch = DiskWatch(registry, ["/a"], disk_space=space_of)
    watch.close()
    assert registry.get_sample_value("daq_disk_free_bytes", {"root": "/a"}) is None
    hangs.set()
