"""The messages of DaqData; their types are in ``daq_data_pb2.pyi``.

The classes are made from the description of the protocol when this module is imported. They live in a pool of their
own. So a program can use them together with another package's classes for the same protocol, and any version of
protobuf will do. See decision 53.
"""

from google.protobuf import message_factory

from std_daq.telescope.daqdata.description import POOL

DESCRIPTOR = POOL.FindFileByName("daq_data.proto")

globals().update(
    {name: message_factory.GetMessageClass(message) for name, message in DESCRIPTOR.message_types_by_name.items()}
)
