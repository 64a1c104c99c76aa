"""The messages of UbloxControl; their types are in ``ublox_control_pb2.pyi``. See decision 53."""

from google.protobuf import message_factory

from std_daq.telescope.ubloxcontrol.description import POOL

DESCRIPTOR = POOL.FindFileByName("ublox_control.proto")

globals().update(
    {name: message_factory.GetMessageClass(message) for name, message in DESCRIPTOR.message_types_by_name.items()}
)
