"""The filter local_ratelimit: over all workers, per connection, by the actions of routes and virtual hosts, by values that
come, at run time, across reloads."""

import os
import signal

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route,
                     to_yaml, wait_until)

TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
NAME = "envoy.filters.http.local_ratelimit"
ALL = {"default_value": {"numerator": 100}}


def bucket(tokens: int) -> dict:
    return {"max_tokens": tokens, "fill_interval": "3600s"}


def limit(prefix: str, **fields) -> dict:
    return {"@type": TYPE, "stat_prefix": prefix, "filter_enabled": ALL, "filter_enforced": ALL, **fields}


def generic(value: str) -> dict:
    return {"actions": [{"generic_key": {"descriptor_value": value}}]}


def descriptor(key: str, value: str, tokens: int) -> dict:
    return {"entries": [{"key": key, "value": value}], "token_bucket": bucket(tokens)}


class LocalRateLimitTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        by_actions = limit("actions", descriptors=[
            descriptor("generic_key", "of the host", 2), descriptor("destination_cluster", "echo", 3)])
        hosts = [{"name": "all", "domains": ["*"], "rate_limits": [generic("of the host")], "routes": [
            route({"prefix": "/own"}, "echo", typed_per_filter_config={NAME: limit("own", token_bucket=bucket(7))}),
            route({"prefix": "/connection"}, "echo", typed_per_filter_config={NAME: limit(
                "connection", token_bucket=bucket(2), local_rate_limit_per_downstream_connection=True)}),
            route({"prefix": "/host"}, "echo", typed_per_filter_config={NAME: by_actions}),
            route({"prefix": "/cluster"}, "echo", {"rate_limits": [{"actions": [{"destination_cluster": {}}]}]},
                  typed_per_filter_config={NAME: by_actions}),
            route({"prefix": "/"}, "echo")]}]
        filters = [{"name": NAME, "typed_config": limit(
            "main", token_bucket=bucket(5), filter_enabled={"default_value": {"numerator": 0}, "runtime_key": "main.on"},
            status={"code": "ServiceUnavailable"},
            response_headers_to_add=[{"header": {"key": "x-limited", "value": "%RESPONSE_CODE_DETAILS%"}}])}]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=hosts, http_filters=filters)],
                                               [cluster("echo", cls.echo.port)]))

    def passed_of(self, count: int, path: str) -> int:
        return sum(fetch(self.port, path).status == 200 for _ in range(count))

    def test_all_workers_share_a_bucket(self) -> None:
        self.assertEqual(self.passed_of(30, "/own"), 7)
        answer = fetch(self.port, "/own")
        self.assertEqual((answer.status, answer.body, answer.header("x-envoy-ratelimited")),
                         (429, b"local_rate_limited", "true"))
        self.weir.wait_stat_is("own.http_local_rate_limit.enforced", 24)

    def test_a_connection_has_buckets_of_its_own(self) -> None:
        for _ in range(2):
            with Connection(self.port) as connection:
                statuses = [connection.request(path="/connection").status for _ in range(4)]
            self.assertEqual(statuses, [200, 200, 429, 429])

    # field: VirtualHost.rate_limits, RouteAction.rate_limits
    def test_actions_of_routes_and_hosts(self) -> None:
        self.assertEqual(self.passed_of(6, "/host"), 2)
        self.assertEqual(self.passed_of(6, "/cluster"), 3)

    def test_switched_at_run_time(self) -> None:
        self.assertEqual(self.passed_of(20, "/"), 20)
        self.weir.admin("/runtime_modify?main.on=100", "POST")
        self.assertEqual(self.passed_of(20, "/"), 5)
        answer = fetch(self.port, "/")
        self.assertEqual((answer.status, answer.header("x-limited")), (503, "local_rate_limited"))
        self.weir.admin("/runtime_modify?main.on=", "POST")
        self.assertEqual(self.passed_of(20, "/"), 20)


def by_value(key: str, tokens: int) -> dict:
    return {"entries": [{"key": key}], "token_bucket": bucket(tokens)}


BY_USER = {"actions": [{"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}]}


class ByValueTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, cls.configuration(3), arguments=["--service-cluster", "edge-west"])

    @classmethod
    def configuration(cls, tokens: int) -> dict:
        of_route = {"actions": [{"metadata": {"descriptor_key": "tier", "source": "ROUTE_ENTRY", "metadata_key": {
            "key": "shop", "path": [{"key": "tier"}]}}}]}
        of_request = {"actions": [{"metadata": {"descriptor_key": "tenant", "default_value": "nobody", "metadata_key": {
            "key": "shop", "path": [{"key": "tenant"}]}}}]}
        to_metadata = {"name": "tenant", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config", "request_rules": [
                {"header": "x-tenant", "on_header_present": {"metadata_namespace": "shop", "key": "tenant"}}]}}

        def limited(prefix: str, rate_limits: list, more: dict = {}, **fields) -> dict:
            return route({"prefix": "/" + prefix}, "echo", {"rate_limits": rate_limits},
                         typed_per_filter_config={NAME: limit(prefix, **fields)}, **more)

        routes = [
            limited("user", [BY_USER], descriptors=[by_value("user", tokens)], max_dynamic_descriptors=100),
            limited("few", [BY_USER], descriptors=[by_value("user", 1)], max_dynamic_descriptors=4),
            limited("tier", [of_route], {"metadata": {"filter_metadata": {"shop": {"tier": "gold"}}}},
                    descriptors=[descriptor("tier", "gold", 2)]),
            limited("tenant", [of_request], descriptors=[by_value("tenant", 2)]),
            limited("source", [{"actions": [{"source_cluster": {}}]}], descriptors=[
                descriptor("source_cluster", "edge-west", 2)]),
            limited("grpc", [], token_bucket=bucket(1), rate_limited_as_resource_exhausted=True),
            # What a response says that it cost is charged when it is over.
            limited("budget", [{**BY_USER, "hits_addend": {"number": 0}},
                               {**BY_USER, "apply_on_stream_done": True, "hits_addend": {"format": "%RESP(x-echo-cost)%"}}],
                    {"response_headers_to_add": [{"header": {"key": "x-echo-cost", "value": "%REQ(x-cost)%"}}]},
                    descriptors=[by_value("user", 10)]),
            route({"prefix": "/"}, "echo")]
        filters = [to_metadata, {"name": NAME, "typed_config": {"@type": TYPE, "stat_prefix": "off"}}]
        return bootstrap([http_listener(cls.port, routes, http_filters=filters)], [cluster("echo", cls.echo.port)])

    def passed(self, count: int, path: str, **headers: str) -> int:
        fields = [("x-" + name, value) for name, value in headers.items()]
        return sum(fetch(self.port, path, headers=fields).status == 200 for _ in range(count))

    # field: LocalRateLimit.max_dynamic_descriptors, RequestHeaders.descriptor_key
    def test_every_user_has_a_bucket(self) -> None:
        names = ["", *("user-%d" % i for i in range(24))]  # more than there are buckets for if nobody says how many
        self.assertEqual([self.passed(5, "/user", user=name) for name in names], [3] * 25)
        self.assertEqual([self.passed(1, "/user", user=name) for name in names], [0] * 25)
        self.assertEqual(self.passed(8, "/user"), 8)

    # field: Action.metadata, MetaData.source, MetaData.default_value, MetadataKey.path
    def test_values_of_metadata(self) -> None:
        self.assertEqual(self.passed(4, "/tier"), 2)
        for tenant in ("a", "b"):
            self.assertEqual(self.passed(4, "/tenant", tenant=tenant), 2)
        self.assertEqual(self.passed(4, "/tenant"), 2)

    # field: Action.source_cluster
    def test_the_cluster_of_this_process(self) -> None:
        self.assertEqual(self.passed(4, "/source"), 2)

    # field: LocalRateLimit.rate_limited_as_resource_exhausted
    def test_grpc(self) -> None:
        self.assertEqual(self.passed(1, "/grpc"), 1)
        answer = fetch(self.port, "/grpc", "POST", headers=[("content-type", "application/grpc")], body=b"")
        self.assertEqual((answer.status, answer.header("grpc-status"), answer.header("content-type"), answer.body),
                         (200, "8", "application/grpc", b""))

    # field: RateLimit.hits_addend, RateLimit.apply_on_stream_done, HitsAddend.format
    def test_a_budget(self) -> None:
        self.assertEqual(self.passed(8, "/budget", user="ann", cost="4"), 3)
        self.assertEqual(self.passed(8, "/budget", user="bob", cost="0"), 8)

    def test_hostile_values(self) -> None:
        """Values as long as they may be, another one for each request: weir answers, in the memory that it has."""
        long_value = "v" * 50000
        with Connection(self.port) as connection:
            for i in range(200):
                answer = connection.request(path="/few", headers=[("x-user", long_value + str(i))])
                self.assertEqual(answer.status, 200)
            again = [connection.request(path="/few", headers=[("x-user", long_value + str(i))]).status for i in (196, 199)]
        self.assertEqual(again, [429, 429])

    def test_other_descriptors_after_a_reload(self) -> None:
        self.assertEqual(self.passed(8, "/user", user="carl"), 3)
        self.sandbox.write(os.path.basename(self.weir.config_path), to_yaml(self.configuration(5)) + "\n")
        with Connection(self.port) as kept:
            self.assertEqual(kept.request(path="/user", headers=[("x-user", "carl")]).status, 429)
            os.kill(self.weir.process.popen.pid, signal.SIGHUP)
            wait_until(lambda: kept.request(path="/user", headers=[("x-user", "carl")]).status == 200, "new buckets", 10)
        self.assertEqual(self.passed(8, "/user", user="carl"), 4)


if __name__ == "__main__":
    main()
