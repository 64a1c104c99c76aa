"""DaqClient: write, kill and status of one detector, for scripts and notebooks."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.broker_lookup import broker_address_of
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import NothingOwned
from std_daq.client.caller import caller_name
from std_daq.client.run import RequestedRun
from std_daq.client.status import DetectorStatus, StatusReader
from std_daq.config.platform import PlatformConfig
from std_daq.config.system import load_any_config, system_of_config
from std_daq.recording.config import RecordingConfig
from std_daq.recording.measured_values import MeasuredValue, make_value
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import (
    FileFormat,
    HeaderValue,
    WriteRequest,
    check_request_id,
    new_request_id,
    parse_experiment,
    parse_write_request,
)
from std_daq.recording.status_channel import StatusListener
from std_daq.recording.value_channel import ValuePublisher

CONNECT_TIMEOUT_S = 10.0


class DaqClient:
    """A client for one detector: it requests runs, kills them, and reads the status of the services.

    Parameters
    ----------
    config
        The configuration, or the path of its file, for example ``detector.json``.
    broker_url
        URL of the broker. By default it is looked up in the environment, then at ``std-daq up``, then in the
        configuration. The look-up takes place when the broker is first needed.
    """

    def __init__(self, config: PlatformConfig | Path | str, broker_url: str | None = None) -> None:
        self.config = config if isinstance(config, PlatformConfig) else load_any_config(config)
        self._broker_url = broker_url
        self._statuses = StatusReader(self.config)

    def write(
        self,
        output_file: Path | str,
        *,
        n_images: int | None = None,
        start_image_id: int | None = None,
        format: FileFormat = "hdf5",  # noqa: A002 - as in the request
        layout: Literal["1.0", "2.0"] | None = None,
        compression: Literal["none", "bslz4", "bszstd"] = "none",
        compression_level: int | None = None,
        images_per_file: int | None = None,
        n_files: int | None = None,
        conflict: Literal["refuse", "rename"] = "refuse",
        first_image_timeout_s: float | None = None,
        image_timeout_s: float | None = None,
        user: str | int | None = None,
        experiment: Mapping[str, object] | None = None,
        user_metadata: Mapping[str, HeaderValue] | None = None,
    ) -> RequestedRun:
        """Request that images, or events, are written to a file; `WriteRequest` explains the arguments.

        A relative path is relative to the working directory of this process.

        Returns
        -------
        RequestedRun
            The run. Wait for its end, or close it; the run then continues.

        Raises
        ------
        RequestRefusedError
            The arguments are not a valid request.
        BrokerError
            The request could not be sent.
        BrokerBlockedError
            The broker takes no messages now, because its disk or memory is full. This is told at once.
        """
        fields: dict[str, Any] = {
            "output_file": str(Path(output_file).absolute()),
            "n_images": n_images,
            "start_image_id": start_image_id,
            "format": format,
            "layout": layout,
            "compression": compression,
            "compression_level": compression_level,
            "images_per_file": images_per_file,
            "n_files": n_files,
            "conflict": conflict,
            "first_image_timeout_s": first_image_timeout_s,
            "image_timeout_s": image_timeout_s,
            "user": user,
            "experiment": dict(experiment or {}),
            "user_metadata": dict(user_metadata or {}),
        }
        request = parse_write_request(fields)
        model = system_of_config(self.config).experiment
        if model is not None:
            parse_experiment(request.experiment, model)
        return self.submit(request)

    def submit(self, request: WriteRequest) -> RequestedRun:
        """Send a request unchanged; its path must be valid on the machine of the writer.

        Raises
        ------
        BrokerError
            The request could not be sent.
        """
        return self._listening_run(new_request_id(), request)

    def follow(self, request_id: str) -> RequestedRun:
        """Follow a request that was sent earlier; statuses that were published before this call are not received."""
        return self._listening_run(check_request_id(request_id), None)

    def kill(self, request_id: str) -> None:
        """Send a kill for a request.

        Raises
        ------
        RequestRefusedError
            ``request_id`` is not a request id.
        BrokerError
            The broker did not accept the message.
        """
        request_id = check_request_id(request_id)
        with BrokerConnection(self._address(), NothingOwned(), name=caller_name("std-daq-client")) as connection:
            connection.wait_connected(CONNECT_TIMEOUT_S)
            RequestPublisher(connection, self.config.tag).kill(request_id)

    def send_values(self, values: Mapping[str, float], *, time: datetime | None = None) -> None:
        """Send what your program has measured; the files of the run that goes on get it.

        Each call opens a connection, which takes some milliseconds. A program that measures many times a second holds
        one open: see `std_daq.recording.value_channel.ValuePublisher`.

        Parameters
        ----------
        values
            Values by their names, which are keys of ``measured_values`` in the configuration, in the units that it
            gives.
        time
            When they were measured, with its time zone; by default when the writer agent receives them.

        Raises
        ------
        RequestRefusedError
            A name is not in the configuration, or a value is no finite number.
        BrokerError
            The broker did not accept the message, for example because no writer agent takes values.
        BrokerBlockedError
            The broker takes no messages now, because its disk or memory is full. This is told at once.
        """
        measured = self.check_values(values, time)
        with BrokerConnection(self._address(), NothingOwned(), name="std-daq-client") as connection:
            connection.wait_connected(CONNECT_TIMEOUT_S)
            ValuePublisher(connection, self.config.tag).publish(measured)

    def check_values(self, values: Mapping[str, float], time: datetime | None = None) -> list[MeasuredValue]:
        """Return measured values as they would be sent; raises RequestRefusedError as `send_values`."""
        units = self.config.value_units if isinstance(self.config, RecordingConfig) else {}
        return [make_value(name, value, time, units) for name, value in values.items()]

    def status(self) -> DetectorStatus:
        """Read the status of all running services; rates refer to the time since the last call."""
        return self._statuses.read()

    def _listening_run(self, request_id: str, request: WriteRequest | None) -> RequestedRun:
        """Start listening before the request is sent, so that no status is missed."""
        listener = StatusListener(
            self._address(),
            queue_type=self.config.broker.queue_type,
            name=caller_name("std-daq-client"),
            publishes=True,
        )
        listener.connection.start()
        try:
            listener.connection.wait_connected(CONNECT_TIMEOUT_S)
            publisher = RequestPublisher(listener.connection, self.config.tag)
            if request is not None:
                publisher.publish(request, request_id=request_id)
        except BaseException:
            listener.connection.close()
            raise
        return RequestedRun(request_id, listener, publisher, None if request is None else request.n_images)

    def _address(self) -> BrokerAddress:
        return broker_address_of(self.config, self._broker_url)
