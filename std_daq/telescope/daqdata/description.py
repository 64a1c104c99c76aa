"""The description of the protocol DaqData, as ``scripts/protos`` makes it from ``daq_data.proto``."""

from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool

POOL = descriptor_pool.DescriptorPool()
"""A pool with the protocol, which server reflection reads."""

for _file in descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("daq_data.binpb").read_bytes()).file:
    POOL.Add(_file)
