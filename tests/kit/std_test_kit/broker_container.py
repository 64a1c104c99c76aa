"""BrokerContainer: a throwaway RabbitMQ in a container, for tests where there is an engine."""

import os
import secrets
import shutil
import subprocess
import time
from types import TracebackType
from typing import Self

import pika

from std_daq.amqp.failures import CONNECTION_FAILURES
from std_daq.errors import BrokerError
from std_test_kit.engine import image_tag

# Our own, and the registry's where somebody has fetched it.
IMAGES = (f"std-daq/rabbitmq:{image_tag()}", "rabbitmq:4", "rabbitmq:3")
PORT = 5672
USER = "std-daq"
CONFIGURATION_FILE = "/etc/rabbitmq/conf.d/90-throwaway.conf"
CONFIGURATION = """\
default_user = {user}
default_pass = {password}
loopback_users = none
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
"""
START_TIMEOUT_S = 120.0
PROBE_TIMEOUT_S = 20.0


def find_image() -> str | None:
    """Return an image of RabbitMQ that the engine of this machine has; None without an engine or an image."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    command = [docker, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return next((image for image in IMAGES if image in listed.split()), None)


class BrokerContainer:
    """A RabbitMQ that ends with its context, reached on loopback.

    Parameters
    ----------
    image
        As `find_image` says.
    """

    def __init__(self, image: str) -> None:
        # Ryuk, the container that would clean up after a killed test, comes from a registry.
        os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
        from testcontainers.core.container import DockerContainer

        self._password = secrets.token_urlsafe(16)
        configuration = CONFIGURATION.format(user=USER, password=self._password)
        self._container = (
            DockerContainer(image)
            .with_name(f"std-daq-test-{os.getpid()}-rabbitmq")
            .with_copy_into_container(configuration.encode(), CONFIGURATION_FILE, 0o644)
        )
        self._container.ports[f"{PORT}/tcp"] = ("127.0.0.1",)  # type: ignore[assignment] # any port of this address

    @property
    def url(self) -> str:
        """URL of the broker, with user and password."""
        port = self._container.get_exposed_port(PORT)
        return f"amqp://{USER}:{self._password}@127.0.0.1:{port}/%2F"

    def __enter__(self) -> Self:
        try:
            self._container.start()
            self._wait_until_ready()
        except BaseException:
            self._container.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        parameters = pika.URLParameters(self.url)
        while True:
            try:
                pika.BlockingConnection(parameters).close()
            except CONNECTION_FAILURES as error:
                if time.monotonic() > deadline:
                    output, errors = self._container.get_logs()
                    raise BrokerError(
                        f"no RabbitMQ in its container: {error!r}\n{(output + errors).decode()}"
                    ) from None
                time.sleep(0.2)
            else:
                return
