"""Reads the description of a protocol, which ``scripts/protos`` makes from a ``.proto``. See decision 53."""

from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool


def read_pool(path: Path) -> descriptor_pool.DescriptorPool:
    """Return a pool of its own with the protocol of a ``.binpb``."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.Add(file)
    return pool
