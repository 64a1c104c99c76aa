"""Send values that another program has measured, such as positions and temperatures: the run that goes on stores them.

The names, and the unit of each, are those of measured_values in the configuration. The latest value from before a run
is stored with the run as well. The command ends with 0 when the broker has the values.
"""

import argparse
import json
from datetime import datetime

from std_daq.cli.argument_types import measured_item, moment
from std_daq.cli.shared_options import add_broker_url_option, add_config_option, add_json_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_option(parser)
    add_broker_url_option(parser, "STD_DAQ_BROKER_URL, that of std-daq up, or that of the configuration")
    parser.add_argument("values", nargs="+", type=measured_item, metavar="NAME=VALUE", help="such as sample_x=1.25")
    parser.add_argument(
        "--time",
        type=moment,
        metavar="TIME",
        help="when they were measured, such as 2026-01-31T12:00:00.5Z; by default when the writer agent receives them",
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send the values; returns the exit code."""
    from std_daq.cli.starting import wait_for_services
    from std_daq.client import DaqClient
    from std_daq.config.system import read_config_of
    from std_daq.recording.config import RecordingConfig

    config = read_config_of(arguments.config, RecordingConfig)
    client = DaqClient(config, arguments.broker_url)
    values: dict[str, float] = dict(arguments.values)
    time: datetime | None = arguments.time
    client.check_values(values, time)
    wait_for_services(config, broker_url=arguments.broker_url, needs_broker=True)
    client.send_values(values, time=time)
    print(json.dumps({"values": values}) if arguments.json else f"{len(values)} sent")
    return 0
