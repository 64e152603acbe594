"""Tests of what single settings of a connection manager change: one listener per setting, one without any beside them."""

from typing import Any

from .case import WeirTestCase
from .client import fetch
from .config import bootstrap, cluster, http_listener, route
from .upstreams import EchoUpstream
from .weir import Weir


class VariantsTestCase(WeirTestCase):
    """One process with a listener for each set of fields, all with the same routes. Subclasses say which."""

    variants: dict[str, dict[str, Any]] = {}
    routes: list[dict] = [route({"prefix": "/"}, "echo")]

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.ports = {name: cls.sandbox.free_port() for name in ("plain", *cls.variants)}
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(port, cls.routes, name=name, stat_prefix=name, **cls.variants.get(name, {}))
             for name, port in cls.ports.items()], [cluster("echo", cls.echo.port)]), concurrency=1)

    def seen(self, variant: str, **request: Any) -> dict:
        """The upstream's account of a request through this listener."""
        return self.echoed(fetch(self.ports[variant], **request))
