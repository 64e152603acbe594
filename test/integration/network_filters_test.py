"""Filters that decide about whole connections: connection_limit, local_ratelimit (both kinds), rbac."""

from typing import Any

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, file_access_log, http_listener, main,
                     route, wait_line)

NETWORK = "type.googleapis.com/envoy.extensions.filters.network."
LISTENER = "type.googleapis.com/envoy.extensions.filters.listener."
SLOW = {"max_tokens": 2, "fill_interval": "3600s"}


class NetworkFiltersTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ports: dict[str, int] = {}
        listeners = []

        def add(name: str, filters: list[dict[str, Any]], **fields: Any) -> None:
            cls.ports[name] = cls.sandbox.free_port()
            made = http_listener(cls.ports[name], [route({"prefix": "/echo"}, "echo"), direct({"prefix": "/"}, name)], name=name)
            made["filter_chains"][0]["name"] = name
            made["filter_chains"][0]["filters"][:0] = filters
            listeners.append({**made, **fields})

        def of(name: str, type_name: str, **config: Any) -> dict[str, Any]:
            return {"name": name, "typed_config": {"@type": type_name, "stat_prefix": name, **config}}

        ten = {"remote_ip": {"address_prefix": "10.0.0.0", "prefix_len": 8}}
        allow_ten = {"policies": {"ten": {"permissions": [{"any": True}], "principals": [ten]}}}
        limit = NETWORK + "connection_limit.v3.ConnectionLimit"
        add("limit", [of("limit", limit, max_connections=2)])
        add("delay", [of("delay", limit, max_connections=1, delay="0.3s")])
        add("rate", [of("rate", NETWORK + "local_ratelimit.v3.LocalRateLimit", token_bucket=SLOW)])
        cls.log = cls.sandbox.path("connections.log")
        log = [file_access_log(cls.log, "%FILTER_CHAIN_NAME% %CONNECTION_TERMINATION_DETAILS% %RESPONSE_FLAGS% %ACCESS_LOG_TYPE% "
                                        "%BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%\n")]
        add("rbac", [of("rbac", NETWORK + "rbac.v3.RBAC", rules=allow_ten)], access_log=log)
        add("logged", [], access_log=log)
        add("both", [of("b1", limit, max_connections=100), of("b2", NETWORK + "rbac.v3.RBAC", rules={
            "action": "DENY", "policies": allow_ten["policies"]})])
        add("early", [], listener_filters=[of("early", LISTENER + "local_ratelimit.v3.LocalRateLimit", token_bucket=SLOW)])
        cls.echo = EchoUpstream(cls.sandbox)
        narrow = {**cluster("echo", cls.echo.port), "per_connection_buffer_limit_bytes": 4096}
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [narrow]))

    def served(self, name: str) -> bool:
        with Connection(self.ports[name]) as connection:
            try:
                return connection.request().text == name
            except Exception:  # noqa: BLE001: closed or reset, before or behind the request
                return False

    def test_connection_limit(self) -> None:
        with Connection(self.ports["limit"]) as one, Connection(self.ports["limit"]) as two:
            self.assertEqual((one.request().text, two.request().text), ("limit", "limit"))
            self.assertFalse(self.served("limit"))
            self.assertEqual(self.weir.stat("connection_limit.limit.limited_connections"), 1)
            self.assertEqual(self.weir.stat("connection_limit.limit.active_connections"), 2)
        self.weir.wait_stat_is("connection_limit.limit.active_connections", 0)
        self.assertTrue(self.served("limit"))

    def test_connection_limit_with_a_delay(self) -> None:
        with Connection(self.ports["delay"]) as one:
            one.request()
            with Connection(self.ports["delay"]) as two:
                two.send_request()
                self.assertTrue(two.closed_within(10))
            self.assertEqual(one.request().text, "delay")

    def test_rates(self) -> None:
        for name, stat in (("rate", "local_rate_limit.rate.rate_limited"), ("early", "listener_local_ratelimit.early.rate_limited")):
            self.assertEqual([self.served(name) for _ in range(4)], [True, True, False, False])
            self.weir.wait_stat_is(stat, 2)

    def test_rbac(self) -> None:
        self.assertFalse(self.served("rbac"))
        self.weir.wait_stat_is("rbac.rbac.denied", 1)
        self.assertRegex(wait_line(self.log, "rbac "),
                         r"^rbac rbac_access_denied_matched_policy\[none\] - NotSet \d+ 0 127\.0\.0\.1$")
        self.assertTrue(self.served("both"))
        with Connection(self.ports["both"]) as connection:  # filters ahead of the connection manager change nothing
            self.assertEqual([connection.request().text for _ in range(3)], ["both"] * 3)

    # field: Listener.access_log
    def test_connections_are_logged_at_their_end(self) -> None:
        with Connection(self.ports["logged"]) as connection:
            sent = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
            connection.send(sent * 2)
            self.assertEqual([connection.read_response().text for _ in range(2)], ["logged"] * 2)
        self.assertRegex(wait_line(self.log, "logged "), r"^logged - - NotSet %d \d{3} 127\.0\.0\.1$" % (2 * len(sent)))

    def test_what_is_left_goes_on(self) -> None:
        """More than the connection manager takes at once, behind other filters."""
        with Connection(self.ports["both"]) as connection:
            connection.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 100)
            self.assertEqual([connection.read_response().text for _ in range(100)], ["both"] * 100)
            response = connection.request("POST", "/echo", body=b"y" * 3_000_000)
            self.assertIn('"length": 3000000', response.text)
            self.assertEqual(connection.request().text, "both")


if __name__ == "__main__":
    main()
