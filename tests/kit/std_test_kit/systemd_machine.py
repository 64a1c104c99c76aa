"""SystemdMachine: systemd as the first process of namespaces of its own, on a copy of this machine's files.

Nothing that happens inside is seen outside: files are an overlay in memory, /dev/shm, /run and /tmp are empty, the
network is loopback, and the kernel's settings cannot be changed. What has been installed here is there; of the units
only those are that a test writes.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from std_test_kit.wait import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
_CGROUPS = Path("/sys/fs/cgroup")
_ENTER = r"""
set -eu
base=$1; shift
mount --make-rprivate /
mount -t tmpfs tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/root"
r=$base/root
for folder in "$@"; do mkdir -p "$r$folder"; mount --rbind "$folder" "$r$folder"; done
mount -t proc proc "$r/proc"
mount -o bind,ro "$r/proc/sys" "$r/proc/sys"
mount -t sysfs -o ro sysfs "$r/sys"
if [ -e /sys/fs/cgroup/systemd ]; then
    mount -t tmpfs -o mode=755 tmpfs "$r/sys/fs/cgroup"
    mkdir "$r/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$r/sys/fs/cgroup/systemd"
else
    mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup"
fi
mount -t tmpfs -o mode=755 tmpfs "$r/dev"
for device in null zero full random urandom tty; do
    touch "$r/dev/$device"
    mount --bind "/dev/$device" "$r/dev/$device"
done
mkdir "$r/dev/shm" "$r/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$r/dev/shm"
mount -t devpts -o newinstance devpts "$r/dev/pts"
ln -s /proc/self/fd "$r/dev/fd"; ln -s pts/ptmx "$r/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$r/run"
mount -t tmpfs -o mode=1777 tmpfs "$r/tmp"
rm -rf "$r/etc/systemd/system"; mkdir "$r/etc/systemd/system"
# What an operating system does at its start is not wanted: it has been done.
for target in sysinit basic; do
    printf '[Unit]\nDescription=nothing\nDefaultDependencies=no\n' > "$r/etc/systemd/system/$target.target"
done
printf '[Unit]\nDescription=a machine for tests\n' > "$r/etc/systemd/system/machine.target"
ip link set lo up
cd "$r"; mkdir -p run/old
pivot_root . run/old
umount -l run/old
# As systemd does it where it takes itself for no container: credentials come by this way.
mount --make-rshared /
exec env -i container=std-daq PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=machine.target --log-target=null --show-status=no
"""


def why_no_machine() -> str | None:
    """Return why there can be no such machine here; None if there can be one."""
    if os.geteuid() != 0:
        return "a machine with systemd needs root"
    for program in ("unshare", "nsenter", "ip", "pivot_root"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            return f"a machine with systemd needs {program}"
    return None if SYSTEMD.exists() else "there is no systemd"


class SystemdMachine:
    """The machine, from `__enter__` to `__exit__`.

    Parameters
    ----------
    folder
        An empty folder, on which the machine's files are put together.
    shared
        Folders that are the same inside, such as those of the checkout and of its environment.
    """

    def __init__(self, folder: Path, shared: list[Path]) -> None:
        self._folder = folder
        self._shared = shared
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._cgroup = (
            _CGROUPS / "systemd" if (_CGROUPS / "systemd").exists() else _CGROUPS
        ) / f"std-daq-{os.getpid()}"

    def __enter__(self) -> Self:
        self._cgroup.mkdir()
        join = f"echo $$ > {self._cgroup}/cgroup.procs"
        unshare = "exec unshare --pid --mount --net --ipc --uts --cgroup --fork --kill-child=KILL bash -c"
        self._process = subprocess.Popen(
            ["bash", "-c", f'{join}; {unshare} "$@"', "machine", _ENTER, "enter", self._folder, *self._shared],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        )
        try:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            wait_until(lambda: bool(children.read_text()), 10, lambda: "no process of the machine")
            self._pid = int(children.read_text().split()[0])
            wait_until(lambda: self._systemctl("is-active", "machine.target") == "active", 30, lambda: "no systemd")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _systemctl(self, *arguments: str) -> str:
        return self._inside("systemctl", *arguments).stdout.strip()

    def _inside(self, *command: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        enter = ["nsenter", f"--target={self._pid}", "--pid", "--mount", "--net", "--ipc", "--uts", "--root", "--wd"]
        return subprocess.run(
            [*enter, *command], capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )

    def run(self, script: str, timeout_s: float = 60) -> str:
        """Run commands of bash as root inside; returns what they print.

        Raises
        ------
        AssertionError
            A command failed; the text has what was printed.
        """
        ended = self._inside("bash", "-euc", script, timeout_s=timeout_s)
        assert ended.returncode == 0, f"{script}\n{ended.stdout}\n{ended.stderr}\n{self._journal()}"
        return ended.stdout

    def _journal(self) -> str:
        return self._inside("journalctl", "--no-pager", "--lines=40", "--output=cat").stdout

    def state(self, unit: str, key: str) -> str:
        """Return a property of a unit, such as ``SubState``."""
        return self._systemctl("show", "--property", key, "--value", unit)

    def wait_for(self, unit: str, key: str, value: str, timeout_s: float = 30) -> None:
        """Wait until a property of a unit contains a text."""
        wait_until(
            lambda: value in self.state(unit, key),
            timeout_s,
            lambda: f"{key} of {unit} is {self.state(unit, key)!r} and not {value!r}\n{self._journal()}",
        )

    def __exit__(self, *exception: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)  # the kernel then ends all that is inside
        self._process.wait()
        for _ in range(100):
            for cgroup in sorted(self._cgroup.rglob("*/"), reverse=True):
                _remove(cgroup)
            if _remove(self._cgroup):
                return
            time.sleep(0.05)


def _remove(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except OSError:
        return not cgroup.exists()
    return True
