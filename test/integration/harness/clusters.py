"""A frame for tests of what clusters do with requests: each is behind a path of its name."""

from typing import Any

from .case import WeirTestCase
from .client import fetch
from .config import Config, bootstrap, file_access_log, http_listener, http_options, route
from .process import wait_line
from .weir import Weir
from .wire import Message


def http2(common: Config = {}, **http2_options: Any) -> Config:
    """Fields of a cluster of HTTP/2; `common`: of common_http_protocol_options."""
    return http_options(common_http_protocol_options=common, explicit_http_config={"http2_protocol_options": http2_options})


class ClustersTestCase(WeirTestCase):
    port: int
    log: str

    @classmethod
    def serve(cls, clusters: list[Config], *more_listeners: Config, **hcm: Any) -> None:
        """/NAME/x goes to the cluster of that name, as /x."""
        cls.port = cls.sandbox.free_port()
        cls.log = cls.sandbox.path("access.log")
        routes = [route({"prefix": "/%s/" % one["name"]}, one["name"], {"prefix_rewrite": "/"}) for one in clusters]
        line = "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%|%RESPONSE_CODE%|%RESPONSE_FLAGS%|%RESPONSE_CODE_DETAILS%|%UPSTREAM_PROTOCOL%\n"
        listener = http_listener(cls.port, routes, access_log=[file_access_log(cls.log, line)], **hcm)
        cls.weir = Weir(cls.sandbox, bootstrap([listener, *more_listeners], clusters), concurrency=1)

    def get(self, name: str, path: str = "x", **more: Any) -> Message:
        return fetch(self.port, "/%s/%s" % (name, path), **more)

    def stat(self, name: str, what: str) -> int:
        return self.weir.stat("cluster.%s.%s" % (name, what))

    def line(self, path: str) -> list[str]:
        """Path, status, flags, details and the server's protocol, as the log has them."""
        return wait_line(self.log, path + "|").split("|")
