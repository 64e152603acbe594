"""What clusters say of all requests that come to them (HttpProtocolOptions): retries and copies, whatever routes say."""

import os
import signal

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route, to_yaml, wait_until
from harness.config import http_options



def with_options(a_cluster: dict, **options: object) -> dict:
    return {**a_cluster, **http_options(explicit_http_config={"http_protocol_options": {}}, **options)}


def retries(count: int, on: str = "5xx") -> dict:
    return {"retry_on": on, "num_retries": count, "retry_back_off": {"base_interval": "0.001s"}}


class ClusterPoliciesTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.server, cls.first, cls.second = (EchoUpstream(cls.sandbox, name) for name in ("server", "first", "second"))
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, cls.configuration(2))

    @classmethod
    def configuration(cls, own_retries: int, copies: bool = True) -> dict:
        def policies(**fields: object) -> dict:
            return {"retry_policy": retries(1), "request_mirror_policies": [{"cluster": "first"}], **fields}

        listener = http_listener(cls.port, virtual_hosts=[
            {"name": "all", "domains": ["*"], "retry_policy": retries(4), "routes": [
                route({"prefix": "/own"}, "own", policies()), route({"prefix": "/host"}, "own"),
                route({"prefix": "/weighted"}, action={**policies(), "weighted_clusters": {
                    "clusters": [{"name": "own", "weight": 1}]}}),
                route({"prefix": "/none"}, "none", policies()), route({"prefix": "/part"}, "part", policies())]}])
        return bootstrap([listener], [
            with_options(cluster("own", cls.server.port), retry_policy=retries(own_retries),
                         request_mirror_policies=[{"cluster": "second"}]),
            with_options(cluster("none", cls.server.port)),
            with_options(cluster("part", cls.server.port), retry_policy=retries(0, "reset")),
            cluster("first", cls.first.port)] + ([cluster("second", cls.second.port)] if copies else []))

    def counts(self, path: str) -> tuple[int, int, int]:
        """Attempts, and copies at the two servers for those."""
        self.assertEqual(fetch(self.port, path, headers=[("x-test-status", "503")]).status, 503)

        def seen(server: EchoUpstream) -> int:
            return len([request for request in server.requests if request.target == path])

        wait_until(lambda: seen(self.first) + seen(self.second) > 0, "a copy")
        return seen(self.server), seen(self.first), seen(self.second)

    # field: HttpProtocolOptions.retry_policy, HttpProtocolOptions.request_mirror_policies
    def test_the_cluster_counts_more_than_the_route(self) -> None:
        for path in ("/own/1", "/host/1", "/weighted/1"):
            self.assertEqual(self.counts(path), (3, 0, 1), path)
        self.assertEqual(self.counts("/none/1"), (2, 1, 0))
        self.assertEqual(self.counts("/part/1"), (1, 1, 0))  # its retries, and the route's copies

    def reload(self, config: dict, result: str) -> None:
        before = self.weir.stat("server.config_reload_" + result)
        with open(self.weir.config_path + ".next", "w", encoding="utf-8") as file:
            file.write(to_yaml(config) + "\n")
        os.rename(self.weir.config_path + ".next", self.weir.config_path)
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_" + result, before + 1)

    def test_they_change_with_a_reload(self) -> None:
        self.reload(self.configuration(1), "success")
        self.assertEqual(self.counts("/own/2"), (2, 0, 1))
        # Where copies go is looked at again, although the text of that cluster has not changed.
        self.reload(self.configuration(1, copies=False), "failure")
        self.assertEqual(self.counts("/own/3"), (2, 0, 1))
        self.reload(self.configuration(2), "success")


if __name__ == "__main__":
    main()
