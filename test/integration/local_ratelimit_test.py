"""The filter local_ratelimit: over all workers, per connection, by the actions of routes and virtual hosts, at run time."""

from harness import Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route

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


if __name__ == "__main__":
    main()
