"""The server of panoseti-grpc on Unix sockets in a folder: without the port and the paths that are fixed in it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import panoseti_grpc.daq_data.server as original

folder = Path(sys.argv[1])
package = Path(original.__file__).parent
config = json.loads((package / "config" / "daq_data_server_config.json").read_text())
config["unix_domain_socket"] = f"unix://{folder}/original.sock"
config["acquisition_methods"]["uds"]["socket_path_template"] = f"{folder}/dp_{{dp_name}}.sock"
source = config["simulate_daq_cfg"]["source_data"]
for key in ("movie_pff_path", "ph_pff_path"):
    source[key] = str(next((package / "simulated_data_dir").rglob(Path(source[key]).name)))

bind = grpc.aio.Server.add_insecure_port


def bind_sockets_only(server: Any, address: str) -> int:
    return bind(server, address) if address.startswith("unix:") else 0


grpc.aio.Server.add_insecure_port = bind_sockets_only
asyncio.run(original.serve(config))
