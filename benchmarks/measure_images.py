"""Sizes of the images, and how long each service takes from `docker run` to /health/ready: the table of the docs.

Each service is started while all others run, as after a crash. Processor time is the service's own until it is ready,
and does not depend on what else the machine does. Rings are small: touching the memory of large ones comes
on top, at 0.3 to 1 GB/s. All that is made is named std-daq-measure-*, and removed.

Usage: python benchmarks/measure_images.py [starts of each service]
"""

import http.client
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from std_test_kit.free_ports import free_tcp_port

NAME = "std-daq-measure"
SERVICES = ("udp-recv", "assembler", "writer-agent", "h5-writer", "stream-send", "stream-recv", "live-stream")
OTHERS = ("service-base", "rabbitmq", "tools")
LIMIT_S = 90.0
FORWARD = {"type": "forward", "config": []}
CONFIG = {
    "detector_name": "measure",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 514,
    "image_pixel_width": 1030,
    "start_udp_port": 50000,
    "module_positions": {"0": [0, 0, 1029, 513]},
    "detector": {"conversion": "raw"},
    "ram_buffer_gb": 0.1,
    "shared_memory": {"frame_buffer_gb": 0.1},
}
SERVERS = {
    "near": {"replication": {"send": [{"address": "tcp://*:9700"}]}, "live_stream_configs": {"tcp://*:9710": FORWARD}},
    "far": {"replication": {"receive": {"sources": [f"tcp://{NAME}-stream-send:9700"]}}},
}


def docker(*arguments: str) -> str:
    ended = subprocess.run(
        ["docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True
    )
    if ended.returncode != 0:
        raise subprocess.CalledProcessError(ended.returncode, ended.args, ended.stdout)
    return ended.stdout.strip()


def image(target: str) -> str:
    return f"std-daq/{target}:{version('std-daq')}"


def has_image(target: str) -> bool:
    with suppress(subprocess.CalledProcessError):
        docker("image", "inspect", image(target))
        return True
    return False


def megabytes(target: str) -> float:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image(target))) / 1e6


def is_ready(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    return False


def processor_s(container: str) -> float:
    fields = Path("/proc", docker("inspect", "--format", "{{.State.Pid}}", container), "stat").read_text().split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def known_hosts() -> list[str]:
    """Return options with the addresses of the others: an engine that leaves a Swarm meanwhile forgets their names."""
    names = docker("ps", "--filter", f"name=^{NAME}-", "--format", "{{.Names}}").split()
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return [f"--add-host={name}:{docker('inspect', '--format', address, name)}" for name in names]


def start(target: str, folder: Path) -> tuple[float, float]:
    """Start a service anew; returns the seconds until it is ready, and its processor time."""
    name, port = f"{NAME}-{target}", free_tcp_port()
    server = "far" if target == "stream-recv" else "near"
    with suppress(subprocess.CalledProcessError):
        docker("rm", "--force", name)
    hosts = known_hosts()
    began_at = time.monotonic()
    docker(
        *("run", "--detach", "--name", name, "--network", NAME, *hosts, "--publish", f"127.0.0.1:{port}:8080"),
        *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--volume", f"{NAME}-{server}-shm:/dev/shm", "--volume", f"{NAME}-{server}-run:/run/std-daq"),
        *("--volume", f"{folder}/{server}.json:/etc/std-daq/detector.json:ro", "--tmpfs", "/data:uid=1000,gid=1000"),
        *("--tmpfs", "/var/lib/std-daq:uid=1000,gid=1000", "--env", "STD_DAQ_METRICS_ADDRESS=0.0.0.0"),
        *("--env", f"STD_DAQ_BROKER_URL=amqp://measure:measure@{NAME}-broker/", image(target)),
    )
    while not is_ready(port):
        if time.monotonic() - began_at > LIMIT_S:
            raise TimeoutError(f"{target} is not ready after {LIMIT_S} s:\n{docker('logs', name)}")
        time.sleep(0.01)
    spent = time.monotonic() - began_at, processor_s(name)
    late = docker("exec", name, "find", "/tmp", "-type", "f", "-name", "*.nbc", "-printf", "%f ")
    if late:
        print(f"{target} has compiled at its start: {late}", file=sys.stderr)
    return spent


def start_broker() -> tuple[float, float]:
    """Start RabbitMQ; returns the seconds until it takes connections; of its processes the time is not known."""
    began_at = time.monotonic()
    docker(
        *("run", "--detach", "--name", f"{NAME}-broker", "--network", NAME, "--read-only", "--tmpfs", "/tmp"),
        *("--cap-drop", "ALL", "--tmpfs", "/var/lib/rabbitmq:uid=999,gid=999,mode=0700"),
        *("--env", "RABBITMQ_DEFAULT_USER=measure", "--env", "RABBITMQ_DEFAULT_PASS=measure", image("rabbitmq")),
    )
    while "Server startup complete" not in docker("logs", f"{NAME}-broker"):
        if time.monotonic() - began_at > LIMIT_S:
            raise TimeoutError(f"the broker did not start:\n{docker('logs', f'{NAME}-broker')}")
        time.sleep(0.05)
    return time.monotonic() - began_at, float("nan")


@contextmanager
def surroundings() -> Iterator[Path]:
    """A network, volumes and a folder of configurations; removed with all containers at the end."""
    volumes = [f"{NAME}-{server}-{volume}" for server in SERVERS for volume in ("shm", "run")]
    options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1g,uid=1000,gid=1000,mode=0770")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for server, more in SERVERS.items():
            (folder / f"{server}.json").write_text(json.dumps(CONFIG | more))
        try:
            docker("network", "create", NAME)
            for volume in volumes:
                docker("volume", "create", *options, volume)
            yield folder
        finally:
            found = docker("ps", "--all", "--quiet", "--filter", f"name=^{NAME}-").split()
            if found:
                docker("rm", "--force", *found)
            docker("volume", "rm", "--force", *volumes)
            docker("network", "rm", NAME)


def main() -> None:
    n_starts = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    services = [target for target in SERVICES if has_image(target)]
    with surroundings() as folder:
        measured = {"rabbitmq": [start_broker()]}
        for target in services:
            start(target, folder)
        for target in services:
            measured[target] = [start(target, folder) for _ in range(n_starts)]
    print("| image | size, MB | ready after, s (shortest, median) | processor time, s |\n|---|---|---|---|")
    for target in (*OTHERS, *services):
        print(f"| `{target}` | {megabytes(target):.0f} | {summary(measured.get(target, []))} |")


def summary(starts: list[tuple[float, float]]) -> str:
    if not starts:
        return "|"
    times, processor = zip(*starts, strict=True)
    own = statistics.median(processor)
    return f"{min(times):.1f}, {statistics.median(times):.1f} | {'' if math.isnan(own) else f'{own:.1f}'}"


if __name__ == "__main__":
    main()
