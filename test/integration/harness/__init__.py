"""What the integration tests are written with: the real binary, real and odd upstreams, a client that hides nothing.

Read in this order: case.py (a test's frame), config.py (bootstraps), weir.py (the process), client.py, upstreams.py.
"""

from .case import WeirTestCase, main, sanitized
from .client import Connection, fetch
from .config import (address, bootstrap, cluster, direct, enable_h1_options, file_access_log, http_listener, network_listener,
                     over_tls, preserve_case, route, tcp_listener, to_yaml)
from .dns import NameServer
from .process import Sandbox, read_lines, refuses, wait_line, wait_lines, wait_until, wait_until_still
from .upstreams import EchoUpstream, Nginx, ScriptedUpstream
from .variants import VariantsTestCase
from .weir import Weir, weir_binary
from .wire import Message

__all__ = [
    "Connection", "EchoUpstream", "Message", "NameServer", "Nginx", "Sandbox", "ScriptedUpstream", "VariantsTestCase",
    "Weir", "WeirTestCase", "address", "bootstrap", "cluster", "direct", "enable_h1_options", "fetch", "file_access_log",
    "http_listener", "main", "network_listener", "over_tls", "preserve_case", "read_lines", "refuses", "route",
    "sanitized", "tcp_listener", "to_yaml", "wait_line", "wait_lines", "wait_until", "wait_until_still", "weir_binary",
]
