"""The command ``std-web``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_daq.config.platform import PlatformConfig
from std_daq.service import ServiceContext, run_service
from std_web.service import NAME, SERVICE

if TYPE_CHECKING:
    from std_web.guard import WebAccess
    from std_web.options import WebOptions
    from std_web.web_service import WebService


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[PlatformConfig]) -> "WebService":
    """Build the parts of the service and put them together."""
    from std_daq.service.registry import parse_service_options
    from std_daq.telemetry.logs import get_logger
    from std_web.app import WebSettings
    from std_web.detectors import Console, watch
    from std_web.limits import Bounds
    from std_web.metrics import WebMetrics
    from std_web.options import WebOptions, options_of
    from std_web.web_service import WebService

    arguments = context.arguments
    options = options_of(arguments, parse_service_options(context.config, NAME, WebOptions))
    settings = WebSettings(
        console=Console(watch([arguments.config, *arguments.further_configs]), options),
        access=_access(context.config, options),
        websockets=Bounds(options.max_websockets, options.max_websockets_of_client),
        metrics=WebMetrics(context.registry),
    )
    service = WebService(settings, options)
    get_logger().info("listening", url=service.url)
    return service


def _access(config: PlatformConfig, options: "WebOptions") -> "WebAccess":
    import socket

    from std_daq.config.paths import runtime_dir
    from std_daq.telemetry.logs import get_logger
    from std_web.guard import WebAccess
    from std_web.token import AccessToken, make_token_file

    hosts = {socket.gethostname(), options.address, *options.hosts}
    names = frozenset(name.lower() for name in hosts)
    if options.anybody_may_change:
        get_logger().warning("no_token", meaning=f"everybody who reaches {options.address} may change something")
        return WebAccess(token=None, hosts=names)
    file = options.token_file
    if file is None:
        file = runtime_dir(config) / "web-token"
        make_token_file(file)
    get_logger().info("token", file=str(file))
    return WebAccess(AccessToken.from_file(file), reading_needs_token=options.reading_needs_token, hosts=names)


if __name__ == "__main__":
    sys.exit(main())
