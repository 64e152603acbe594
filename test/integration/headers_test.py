"""Header mutations at four levels, and the headers that weir itself adds, keeps and takes away."""

import re

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route
from harness.config import PRIVATE

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def add(name: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> dict:
    return {"header": {"key": name, "value": value}, "append_action": action}


class MutationTest(WeirTestCase):
    """request_headers_to_add and its three relatives on every level."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        weighted = {"weighted_clusters": {"clusters": [{
            "name": "echo", "weight": 1, "request_headers_to_add": [add("x-order", "cluster"), add("x-cluster", "yes")],
            "request_headers_to_remove": ["x-drop-cluster"],
            "response_headers_to_add": [add("x-response-order", "cluster")], "response_headers_to_remove": ["x-secret-cluster"]}]}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port,
            virtual_hosts=[{
                "name": "all", "domains": ["*"],
                "request_headers_to_add": [add("x-order", "host"), add("x-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")],
                "response_headers_to_add": [add("x-response-order", "host")],
                "request_headers_to_remove": ["x-drop-host"], "response_headers_to_remove": ["x-secret-host"],
                "routes": [
                    route({"prefix": "/levels"}, action=weighted,
                          request_headers_to_add=[add("x-order", "route")], request_headers_to_remove=["x-drop-route"],
                          response_headers_to_add=[add("x-response-order", "route")],
                          response_headers_to_remove=["x-secret-route"]),
                    route({"prefix": "/actions"}, "echo", request_headers_to_add=[
                        add("x-overwrite", "new", "OVERWRITE_IF_EXISTS_OR_ADD"), add("x-absent", "new", "ADD_IF_ABSENT"),
                        add("x-exists", "new", "OVERWRITE_IF_EXISTS"), add("x-append", "new")])]}],
            route_config={"request_headers_to_add": [add("x-order", "table")],
                          "response_headers_to_add": [add("x-response-order", "table")],
                          "request_headers_to_remove": ["x-drop-table"], "response_headers_to_remove": ["x-secret-table"]})],
            [cluster("echo", cls.echo.port)]))

    # field: RouteConfiguration.request_headers_to_add, RouteConfiguration.request_headers_to_remove
    # field: RouteConfiguration.response_headers_to_add, RouteConfiguration.response_headers_to_remove
    # field: VirtualHost.request_headers_to_add, VirtualHost.request_headers_to_remove
    # field: VirtualHost.response_headers_to_add, VirtualHost.response_headers_to_remove, Route.request_headers_to_add
    # field: Route.request_headers_to_remove, Route.response_headers_to_add, Route.response_headers_to_remove
    # field: ClusterWeight.request_headers_to_add, ClusterWeight.request_headers_to_remove
    # field: ClusterWeight.response_headers_to_add, ClusterWeight.response_headers_to_remove, HeaderValueOption.header
    # field: HeaderValue.key, HeaderValue.value
    def test_four_levels(self) -> None:
        levels = ("cluster", "route", "host", "Table")
        response = fetch(self.port, "/levels", headers=[
            *(("x-drop-" + level, "1") for level in levels), ("x-stay", "1"),
            *(("x-test-header", "x-secret-%s=1" % level) for level in levels), ("x-test-header", "x-stay=1")])
        headers = self.echoed(response)["headers"]
        # The most specific level is applied first.
        self.assertEqual(",".join(headers["x-order"]).replace(" ", ""), "cluster,route,host,table")
        self.assertEqual(headers["x-cluster"], ["yes"])
        self.assertEqual(headers["x-ip"], ["127.0.0.1"])
        self.assertEqual([name for name in headers if name.startswith("x-drop")], [])
        self.assertEqual(headers["x-stay"], ["1"])
        order = (response.header("x-response-order") or "").replace(" ", "")
        self.assertEqual(order, "cluster,route,host,table")
        self.assertEqual([name for name, _ in response.headers if name.startswith("x-secret")], [])
        self.assertEqual(response.header("x-stay"), "1")

    # field: HeaderValueOption.append_action
    def test_append_actions(self) -> None:
        old = [("x-overwrite", "old"), ("x-absent", "old"), ("x-exists", "old"), ("x-append", "old")]
        headers = self.echoed(fetch(self.port, "/actions", headers=old))["headers"]
        self.assertEqual((headers["x-overwrite"], headers["x-absent"], headers["x-exists"]), (["new"], ["old"], ["new"]))
        self.assertEqual(",".join(headers["x-append"]).replace(" ", ""), "old,new")
        headers = self.echoed(fetch(self.port, "/actions"))["headers"]
        self.assertEqual((headers["x-overwrite"], headers["x-absent"], headers["x-append"]), (["new"], ["new"], ["new"]))
        self.assertNotIn("x-exists", headers)


class EdgeHeadersTest(WeirTestCase):
    """What a proxy does to headers without being told: as an edge (use_remote_address) and as an inner hop."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.edge, cls.inner, cls.renamed = (cls.sandbox.free_port() for _ in range(3))
        to_echo = [route({"prefix": "/"}, "echo")]
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.edge, to_echo, name="edge", stat_prefix="edge", use_remote_address=True, internal_address_config=PRIVATE),
            http_listener(cls.inner, to_echo, name="inner", stat_prefix="inner", internal_address_config=PRIVATE),
            http_listener(cls.renamed, to_echo, name="renamed", stat_prefix="renamed", server_name="storefront",
                          generate_request_id=False)], [cluster("echo", cls.echo.port)]))

    # field: HttpConnectionManager.generate_request_id
    def test_request_id(self) -> None:
        first = self.echoed(fetch(self.inner))["headers"]["x-request-id"]
        second = self.echoed(fetch(self.inner))["headers"]["x-request-id"]
        self.assertEqual((len(first), len(second)), (1, 1))
        self.assertRegex(first[0], UUID)
        self.assertNotEqual(first, second)
        self.assertNotIn("x-request-id", self.echoed(fetch(self.renamed))["headers"])

    def test_inner_hop_keeps_what_it_is_told(self) -> None:
        headers = self.echoed(fetch(self.inner, headers=[("x-forwarded-for", "203.0.113.9"), ("x-request-id", "mine"),
                                                         ("x-forwarded-proto", "https")]))["headers"]
        self.assertEqual(headers["x-forwarded-for"], ["203.0.113.9"])
        self.assertEqual(headers["x-forwarded-proto"], ["https"])

    # field: HttpConnectionManager.use_remote_address
    def test_edge_appends_the_client_address(self) -> None:
        headers = self.echoed(fetch(self.edge))["headers"]
        self.assertEqual(headers["x-forwarded-for"], ["127.0.0.1"])
        self.assertEqual(headers["x-forwarded-proto"], ["http"])
        headers = self.echoed(fetch(self.edge, headers=[("x-forwarded-for", "203.0.113.9")]))["headers"]
        self.assertEqual(headers["x-forwarded-for"][-1].replace(" ", ""), "203.0.113.9,127.0.0.1")

    ORDERS = [("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "3000"), ("x-envoy-upstream-rq-timeout-ms", "5000"), ("x-envoy-force-trace", "1")]
    WAY = [("x-envoy-external-address", "6.6.6.6"), ("x-envoy-decorator-operation", "spoof"),
           ("x-envoy-downstream-service-cluster", "spoof")]

    def seen(self, port: int, *headers: tuple[str, str]) -> dict[str, list[str]]:
        return self.echoed(fetch(port, headers=list(headers)))["headers"]

    def test_strangers_give_no_orders(self) -> None:
        """Who comes from inside: a private peer of an edge that was not forwarded; behind an edge, one private address."""
        inside = [(self.edge, []), (self.inner, [("x-forwarded-for", "10.1.2.3")])]
        outside = [(self.edge, [("x-forwarded-for", "8.8.8.8")]), (self.edge, [("x-forwarded-for", "10.1.2.3")]), (self.inner, []),
                   (self.inner, [("x-forwarded-for", "8.8.8.8")]), (self.inner, [("x-forwarded-for", "10.1.2.3, 10.1.2.4")])]
        for port, headers in inside + outside:
            seen = self.seen(port, *headers, *self.ORDERS, *self.WAY, ("x-envoy-internal", "true"),
                             ("x-envoy-original-url", "http://spoof/"), ("x-request-id", "theirs"))
            internal, edge = (port, headers) in inside, port == self.edge
            with self.subTest(edge=edge, headers=headers):
                self.assertEqual("x-envoy-internal" in seen, internal)
                self.assertEqual("x-envoy-original-url" in seen, internal)
                # The others are obeyed and taken out.
                self.assertEqual("x-envoy-force-trace" in seen, internal)
                self.assertEqual(seen["x-envoy-expected-rq-timeout-ms"], ["5000" if internal else "15000"])
                entering = edge and not internal
                self.assertEqual(seen["x-request-id"] != ["theirs"], entering)
                self.assertEqual("x-envoy-decorator-operation" not in seen, entering)
                self.assertEqual("x-envoy-downstream-service-cluster" not in seen, entering)
                self.assertEqual(seen["x-envoy-external-address"], ["127.0.0.1" if entering else "6.6.6.6"])

    def test_orders_about_time(self) -> None:
        """204 for a time-out, and how long all may last."""
        inside = [("x-envoy-upstream-rq-timeout-ms", "50"), ("x-test-delay", "1")]
        self.assertEqual(fetch(self.edge, headers=inside).status, 504)
        response = fetch(self.edge, headers=[*inside, ("x-envoy-upstream-rq-timeout-alt-response", "1")])
        self.assertEqual((response.status, response.body), (204, b""))
        brief = [("x-envoy-upstream-stream-duration-ms", "50"), ("x-test-delay", "0.3")]
        self.assertEqual(fetch(self.edge, headers=brief).status, 504)
        response = fetch(self.edge, headers=[*brief, ("x-forwarded-for", "8.8.8.8")])
        self.assertEqual(response.status, 200)
        self.assertNotIn("x-envoy-upstream-stream-duration-ms", self.echoed(response)["headers"])

    def test_an_order_to_be_counted(self) -> None:
        """As published: below the cluster, beside its own; only for those inside, and not by any name."""
        inside = [("x-envoy-upstream-alt-stat-name", "canary.one"), ("x-test-delay", "0.1")]
        for _ in range(2):
            self.assertNotIn("x-envoy-upstream-alt-stat-name", self.seen(self.edge, *inside))
        self.seen(self.edge, ("x-forwarded-for", "8.8.8.8"), ("x-envoy-upstream-alt-stat-name", "stranger"))
        self.seen(self.edge, ("x-envoy-upstream-alt-stat-name", "long" * 33))
        self.assertEqual(fetch(self.edge, headers=[*inside, ("x-envoy-upstream-rq-timeout-ms", "20")]).status, 504)
        self.weir.wait_stat("cluster.echo.canary.one.upstream_rq_completed", 3)
        stats = self.weir.stats()
        self.assertEqual({name: value for name, value in stats.items() if ".canary.one." in name}, {
            "cluster.echo.canary.one.upstream_rq_" + what: value
            for what, value in {"200": 2, "2xx": 2, "504": 1, "5xx": 1, "completed": 3}.items()})
        self.assertRegex(self.weir.admin("/stats/prometheus"),
                         r'envoy_cluster_canary_one_upstream_rq_time_count\{envoy_cluster_name="echo"\} 2')
        self.assertEqual([name for name in stats if "stranger" in name or "longlong" in name], [])

    # field: HttpConnectionManager.server_name
    def test_server_header(self) -> None:
        response = fetch(self.inner, headers=[("x-test-header", "server=origin/1")])
        self.assertEqual(response.all("server"), ["weir"])
        self.assertEqual(fetch(self.renamed).all("server"), ["storefront"])

    def test_hop_by_hop_fields_stay_on_their_hop(self) -> None:
        headers = self.echoed(fetch(self.inner, headers=[
            ("connection", "x-hop, keep-alive"), ("x-hop", "1"), ("keep-alive", "timeout=5"), ("te", "gzip"),
            ("proxy-connection", "keep-alive"), ("x-end", "1")]))["headers"]
        for name in ("x-hop", "keep-alive", "proxy-connection"):
            self.assertNotIn(name, headers)
        self.assertNotIn("close", ",".join(headers.get("connection", [])).lower())
        self.assertEqual(headers["x-end"], ["1"])

    def test_timings_are_told(self) -> None:
        response = fetch(self.inner, headers=[("x-test-delay", "0.1")])
        self.assertGreaterEqual(int(response.header("x-envoy-upstream-service-time") or -1), 90)
        self.assertEqual(self.echoed(response)["headers"]["x-envoy-expected-rq-timeout-ms"], ["15000"])

    def test_date_is_there_once(self) -> None:
        self.assertEqual(len(fetch(self.inner).all("date")), 1)

    def test_values_come_through_unchanged(self) -> None:
        value = "a,b;c=\"d e\"  f\t\xe9"
        headers = self.echoed(fetch(self.inner, headers=[("x-raw", value), ("cookie", "a=b"), ("x-empty", ""),
                                                         ("x-twice", "1"), ("x-twice", "2")]))["headers"]
        self.assertEqual(headers["x-raw"], [value])
        self.assertEqual(headers["cookie"], ["a=b"])
        self.assertEqual(headers["x-empty"], [""])
        self.assertEqual(headers["x-twice"], ["1", "2"])


if __name__ == "__main__":
    main()
