"""Messages of api/proto in Python, made by protoc when a test starts."""

import os
import subprocess
import tempfile
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PROTOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "api", "proto")


class Protos:
    """What `file` (below api/proto) and all that it imports declare: protos("envoy.service.auth.v3.CheckRequest")()."""

    def __init__(self, file: str) -> None:
        with tempfile.NamedTemporaryFile(suffix=".pb") as out:
            subprocess.run(["protoc", "-I", _PROTOS, "--include_imports", "--descriptor_set_out=" + out.name, file], check=True)
            files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
        self._pool = descriptor_pool.DescriptorPool()
        for one in files.file:
            self._pool.Add(one)
        self._factory = message_factory.MessageFactory(self._pool)

    def __call__(self, name: str) -> Any:
        return self._factory.GetPrototype(self._pool.FindMessageTypeByName(name))
