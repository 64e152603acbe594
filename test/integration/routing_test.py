"""Virtual hosts, route matches, weighted clusters, rewrites, redirects, direct responses."""

import collections
import json

from harness import (Connection, EchoUpstream, Nginx, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, http_listener, main,
                     route)
from harness.http2_client import H2


class DomainTest(WeirTestCase):
    """Exact beats suffix beats prefix beats `*`; among suffixes and prefixes the longest."""

    @classmethod
    def set_up(cls) -> None:
        def virtual_host(name: str, *domains: str) -> dict:
            return {"name": name, "domains": list(domains), "routes": [direct({"prefix": "/"}, name)]}

        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=[
            virtual_host("any", "*"), virtual_host("exact", "a.example.com", "b.example.com:8080"),
            virtual_host("suffix", "*.example.com"), virtual_host("long-suffix", "*-x.example.com"),
            virtual_host("prefix", "a.example.*"), virtual_host("short-prefix", "a.*")])]))

    # field: Bootstrap.static_resources, StaticResources.listeners, Listener.address, Address.socket_address
    # field: SocketAddress.address, SocketAddress.port_value, Listener.filter_chains, FilterChain.filters
    # field: listener.v3.Filter.typed_config, HttpConnectionManager.route_config, HttpConnectionManager.http_filters
    # field: HttpFilter.typed_config, RouteConfiguration.virtual_hosts, VirtualHost.domains, VirtualHost.routes
    # field: Route.match, RouteMatch.prefix, Route.direct_response, DirectResponseAction.status
    # field: DirectResponseAction.body, DataSource.inline_string
    def test_domains(self) -> None:
        for host, expected in (
                ("a.example.com", "exact"), ("A.Example.COM", "exact"), ("b.example.com:8080", "exact"),
                ("b.example.com", "suffix"), ("c.d.example.com", "suffix"), ("c-x.example.com", "long-suffix"),
                ("a.example.net", "prefix"), ("a.example.org:81", "prefix"), ("a.net", "short-prefix"),
                ("example.com", "any"), ("other.test", "any"), ("127.0.0.1:%d" % self.port, "any")):
            with self.subTest(host):
                self.assertEqual(fetch(self.port, host=host).text, expected)


class NoDomainTest(WeirTestCase):
    """A configuration without `*`."""

    @classmethod
    def set_up(cls) -> None:
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=[
            {"name": "one", "domains": ["one.example"], "routes": [direct({"path": "/here"}, "here")]}])]))

    def test_unknown_host_and_path_are_404(self) -> None:
        self.assertEqual(fetch(self.port, "/here", host="one.example").text, "here")
        self.assertEqual(fetch(self.port, "/here", host="two.example").status, 404)
        self.assertEqual(fetch(self.port, "/there", host="one.example").status, 404)
        self.weir.wait_stat("http.ingress.no_route", 2)
        self.weir.wait_stat("http.ingress.downstream_rq_4xx", 2)


class MatchTest(WeirTestCase):
    """Paths, headers, query parameters; the first route that matches wins."""

    @classmethod
    def set_up(cls) -> None:
        def header(name: str, **condition: object) -> dict:
            return {"name": name, **condition}

        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            direct({"path": "/exact"}, "path"),
            direct({"path": "/lower", "case_sensitive": False}, "path-insensitive"),
            direct({"path_separated_prefix": "/api"}, "separated"),
            direct({"safe_regex": {"regex": "/img/[0-9]+\\.(png|jpg)"}}, "regex"),
            direct({"prefix": "/h", "headers": [header("x-a", string_match={"exact": "1"}),
                                                header("x-b", present_match=True)]}, "both"),
            direct({"prefix": "/h", "headers": [header("x-a", string_match={"prefix": "pre"})]}, "header-prefix"),
            direct({"prefix": "/h", "headers": [header("x-a", string_match={"suffix": "fix"})]}, "header-suffix"),
            direct({"prefix": "/h", "headers": [header("x-a", string_match={"contains": "mid"})]}, "header-contains"),
            direct({"prefix": "/h", "headers": [header("x-a", string_match={"safe_regex": {"regex": "r[0-9]"}})]}, "header-regex"),
            direct({"prefix": "/h", "headers": [header("x-n", range_match={"start": 5, "end": 8})]}, "header-range"),
            direct({"prefix": "/h", "headers": [header("x-a", present_match=True, invert_match=True)]}, "absent"),
            direct({"prefix": "/none", "headers": [header("x-a", present_match=False)]}, "none"),
            direct({"prefix": "/q", "query_parameters": [{"name": "v", "string_match": {"exact": "2"}}]}, "query"),
            direct({"prefix": "/m", "headers": [header(":method", string_match={"exact": "DELETE"})]}, "delete"),
            direct({"prefix": "/"}, "rest")])]))

    # field: RouteMatch.path, RouteMatch.case_sensitive, RouteMatch.path_separated_prefix, RouteMatch.safe_regex
    # field: envoy.type.matcher.v3.RegexMatcher.regex, RouteMatch.query_parameters, QueryParameterMatcher.name
    # field: QueryParameterMatcher.string_match, envoy.type.matcher.v3.StringMatcher.exact
    def test_paths(self) -> None:
        for path, expected in (
                ("/exact", "path"), ("/exact?x=1", "path"), ("/exact/", "rest"), ("/Exact", "rest"), ("/LOWER", "path-insensitive"),
                ("/api", "separated"), ("/api/", "separated"), ("/api/cart", "separated"), ("/api?x", "separated"),
                ("/apiary", "rest"), ("/img/12.png", "regex"), ("/img/12.png?x", "regex"), ("/img/12.pngx", "rest"),
                ("/x/img/12.png", "rest"), ("/q?v=2", "query"), ("/q?v=2&w=3", "query"), ("/q?w=1&v=2", "query"),
                ("/q?v=22", "rest"), ("/q", "rest")):
            with self.subTest(path):
                self.assertEqual(fetch(self.port, path).text, expected)

    # field: RouteMatch.headers, HeaderMatcher.name, HeaderMatcher.string_match, HeaderMatcher.present_match
    # field: HeaderMatcher.range_match, HeaderMatcher.invert_match, Int64Range.start, Int64Range.end
    # field: envoy.type.matcher.v3.StringMatcher.prefix, envoy.type.matcher.v3.StringMatcher.suffix, envoy.type.matcher.v3.StringMatcher.contains, envoy.type.matcher.v3.StringMatcher.safe_regex
    def test_headers(self) -> None:
        for headers, expected in (
                ([("x-a", "1"), ("x-b", "")], "both"), ([("X-A", "1"), ("X-B", "z")], "both"), ([("x-a", "1")], "rest"),
                ([("x-a", "prefer")], "header-prefix"), ([("x-a", "affix")], "header-suffix"),
                ([("x-a", "amidst")], "header-contains"), ([("x-a", "r7")], "header-regex"), ([("x-a", "r77")], "rest"),
                ([("x-n", "5"), ("x-a", "z")], "header-range"), ([("x-n", "8"), ("x-a", "z")], "rest"),
                ([("x-n", "4"), ("x-a", "z")], "rest"), ([("x-n", "no"), ("x-a", "z")], "rest"), ([], "absent")):
            with self.subTest(headers):
                self.assertEqual(fetch(self.port, "/h", headers=headers).text, expected)
        self.assertEqual(fetch(self.port, "/none").text, "none")
        self.assertEqual(fetch(self.port, "/none", headers=[("x-a", "1")]).text, "rest")

    def test_method(self) -> None:
        self.assertEqual(fetch(self.port, "/m", method="DELETE").text, "delete")
        self.assertEqual(fetch(self.port, "/m", method="PUT", body=b"x").text, "rest")


class ActionTest(WeirTestCase):
    """What happens after the match."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/rewrite/"}, "echo", {"prefix_rewrite": "/new/"}),
            route({"prefix": "/regex/"}, "echo", {"regex_rewrite": {
                "pattern": {"regex": "^/regex/([a-z]+)/([a-z]+)"}, "substitution": "/\\2/\\1"}}),
            route({"prefix": "/host"}, "echo", {"host_rewrite_literal": "inner.example"}),
            route({"prefix": "/missing"}, "nobody"),
            {"match": {"prefix": "/to-host"}, "redirect": {"host_redirect": "new.example"}},
            {"match": {"prefix": "/to-path"}, "redirect": {"path_redirect": "/there?a=b", "response_code": "FOUND"}},
            {"match": {"prefix": "/to-prefix/"}, "redirect": {"prefix_rewrite": "/p/", "response_code": "PERMANENT_REDIRECT"}},
            {"match": {"prefix": "/to-https"}, "redirect": {"https_redirect": True, "strip_query": True,
                                                            "response_code": "TEMPORARY_REDIRECT"}},
            route({"prefix": "/format"}, "echo", {"path_rewrite": "/made/%REQ(x-p)%", "host_rewrite": "%REQ(x-h)%"}),
            {"match": {"prefix": "/to-format"}, "redirect": {"path_rewrite": "/in/%REQ(x-p)%"}},
            {"match": {"path": "/printed"}, "direct_response": {
                "status": 403, "body": {"inline_string": "not today"}, "body_format": {
                    "json_format": {"code": "%RESPONSE_CODE%", "path": "%REQ(:PATH)%", "why": "%LOCAL_REPLY_BODY%"}}}},
            direct({"path": "/text"}, "made here\n", 201),
            {"match": {"path": "/empty"}, "direct_response": {"status": 204}},
            *(direct({"path": "/none/%d" % status}, "never sent", status) for status in (204, 205, 304)),
            route({"prefix": "/"}, "echo")], route_config={"validate_clusters": False})], [cluster("echo", cls.echo.port)]))

    # field: Route.route, RouteAction.cluster, RouteAction.prefix_rewrite, RouteAction.regex_rewrite
    # field: RegexMatchAndSubstitute.pattern, RegexMatchAndSubstitute.substitution, RouteAction.host_rewrite_literal
    def test_rewrites(self) -> None:
        for path, expected in (("/rewrite/a?b=c", "/new/a?b=c"), ("/regex/one/two?x", "/two/one?x"), ("/plain?q=1", "/plain?q=1")):
            with self.subTest(path):
                account = self.echoed(fetch(self.port, path))
                self.assertEqual(account["path"], expected)
        self.assertEqual(self.echoed(fetch(self.port, "/rewrite/a"))["headers"].get("x-envoy-original-path"), ["/rewrite/a"])
        self.assertEqual(self.echoed(fetch(self.port, "/host"))["headers"]["host"], ["inner.example"])
        self.assertEqual(self.echoed(fetch(self.port, "/"))["headers"]["host"], ["test.example"])

    # field: RouteAction.path_rewrite, RouteAction.host_rewrite, RedirectAction.path_rewrite
    def test_rewrites_by_formats(self) -> None:
        account = self.echoed(fetch(self.port, "/format?q=1", headers=[("x-p", "x"), ("x-h", "inner.example")]))
        self.assertEqual((account["path"], account["headers"]["host"]), ("/made/x?q=1", ["inner.example"]))
        self.assertEqual(account["headers"].get("x-envoy-original-path"), ["/format?q=1"])
        self.assertEqual(self.echoed(fetch(self.port, "/format"))["headers"]["host"], ["test.example"])  # x-h is not there
        self.assertEqual(fetch(self.port, "/to-format?q=1", headers=[("x-p", "x")]).header("location"),
                         "http://test.example/in/x?q=1")
        # What a client sends makes no other request of it.
        before = len(self.echo.requests)
        for name, value in (("x-p", "x HTTP/1.1"), ("x-p", "x#y"), ("x-h", "a b"), ("x-h", "a/b"), ("x-h", "me@a")):
            with self.subTest(value):
                self.assertEqual(fetch(self.port, "/format", headers=[(name, value)]).status, 400)
        self.assertEqual(fetch(self.port, "/to-format", headers=[("x-p", "x y")]).status, 400)
        self.assertEqual(len(self.echo.requests), before)

    # field: Route.redirect, RedirectAction.host_redirect, RedirectAction.path_redirect, RedirectAction.prefix_rewrite
    # field: RedirectAction.https_redirect, RedirectAction.strip_query, RedirectAction.response_code
    def test_redirects(self) -> None:
        for path, status, location in (
                ("/to-host/x?y=1", 301, "http://new.example/to-host/x?y=1"),
                ("/to-path/x?y=1", 302, "http://test.example/there?a=b"),
                ("/to-prefix/x?y=1", 308, "http://test.example/p/x?y=1"),
                ("/to-https/x?y=1", 307, "https://test.example/to-https/x")):
            with self.subTest(path):
                response = fetch(self.port, path)
                self.assertEqual((response.status, response.header("location")), (status, location))

    def test_direct_responses(self) -> None:
        response = fetch(self.port, "/text")
        self.assertEqual((response.status, response.text), (201, "made here\n"))
        self.assertEqual(response.header("content-type"), "text/plain")
        response = fetch(self.port, "/empty")
        self.assertEqual((response.status, response.body), (204, b""))
        self.weir.wait_stat("http.ingress.rq_direct_response", 2)

    def test_statuses_that_have_no_content(self) -> None:
        with Connection(self.port) as old, H2(self.port) as new:
            for status, length in ((204, None), (205, "0"), (304, None)):  # RFC 9110 8.6
                for method in ("GET", "HEAD"):
                    old.send_request(method, "/none/%d" % status)
                    head = old.reader.head()
                    self.assertEqual((head.status, head.header("content-length")), (status, length), method)
                    stream = new.request("/none/%d" % status, method)
                    new.until(stream)
                    head = new.headers(stream)
                    self.assertEqual((head[":status"], head.get("content-length"), new.body(stream)), (str(status), length, b""))
            self.assertEqual(old.request(path="/text").text, "made here\n")  # and nothing between them

    # field: DirectResponseAction.body_format
    def test_a_direct_response_is_printed(self) -> None:
        response = fetch(self.port, "/printed")
        self.assertEqual((response.status, response.header("content-type")), (403, "application/json"))
        self.assertEqual(json.loads(response.text), {"code": 403, "path": "/printed", "why": "not today"})

    def test_direct_response_to_a_post_keeps_the_connection_in_step(self) -> None:
        """Or closes it, and says so."""
        connection = Connection(self.port)
        try:
            for _ in range(3):
                response = connection.request("POST", "/text", body=b"y" * 5000)
                self.assertEqual(response.status, 201)
                if (response.header("connection") or "").lower() == "close":
                    self.assertTrue(connection.closed_within(2))
                    connection.close()
                    connection = Connection(self.port)
                self.assertEqual(self.echoed(connection.request(path="/next"))["path"], "/next")
        finally:
            connection.close()

    # field: RouteConfiguration.validate_clusters
    def test_unknown_cluster_is_503(self) -> None:
        self.assertEqual(fetch(self.port, "/missing").status, 503)


class TableTest(WeirTestCase):
    """Settings of whole tables and virtual hosts: one listener with them, one without."""

    @classmethod
    def set_up(cls) -> None:
        def overwrite(value: str) -> list:
            return [{"header": {"key": "x-level", "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]

        cls.echo = EchoUpstream(cls.sandbox)
        cls.plain, cls.set = cls.sandbox.free_port(), cls.sandbox.free_port()
        hosts = [{"name": "secure", "domains": ["secure.example"], "require_tls": "ALL", "routes": [direct({"prefix": "/"}, "clear")]},
                 {"name": "all", "domains": ["*"], "routes": [
                     route({"path": "/exact"}, "echo"), route({"prefix": "/nobody"}, "nobody", {
                         "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR"}),
                     route({"prefix": "/forwarded"}, "echo", {"host_rewrite_literal": "inner.example", "append_x_forwarded_host": True}),
                     route({"prefix": "/auto"}, "named", {"auto_host_rewrite": True, "append_x_forwarded_host": True}),
                     route({"prefix": "/level"}, "echo", response_headers_to_add=overwrite("route"))]}]
        common = {"validate_clusters": False, "response_headers_to_add": overwrite("table")}
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.plain, name="plain", virtual_hosts=hosts, route_config=common),
            http_listener(cls.set, name="set", virtual_hosts=hosts, route_config={
                **common, "most_specific_header_mutations_wins": True, "ignore_path_parameters_in_path_matching": True})],
            [cluster("echo", cls.echo.port), cluster("named", cls.echo.port, hostname="inner.example")]))

    # field: RouteConfiguration.most_specific_header_mutations_wins
    def test_who_has_the_last_word_on_headers(self) -> None:
        self.assertEqual(fetch(self.plain, "/level").header("x-level"), "table")
        self.assertEqual(fetch(self.set, "/level").header("x-level"), "route")

    # field: RouteConfiguration.ignore_path_parameters_in_path_matching
    def test_path_parameters(self) -> None:
        self.assertEqual(fetch(self.plain, "/exact;v=1").status, 404)
        self.assertEqual(self.echoed(fetch(self.set, "/exact;v=1"))["path"], "/exact;v=1")

    # field: VirtualHost.require_tls
    def test_a_host_for_tls_only(self) -> None:
        response = fetch(self.plain, "/x?y", host="secure.example")
        self.assertEqual((response.status, response.header("location")), (301, "https://secure.example/x?y"))

    # field: RouteAction.cluster_not_found_response_code
    def test_status_of_an_unknown_cluster(self) -> None:
        self.assertEqual(fetch(self.plain, "/nobody").status, 500)

    def test_the_host_before_rewriting(self) -> None:
        for path in ("/forwarded", "/auto"):
            seen = self.echoed(fetch(self.plain, path, host="outer.example"))["headers"]
            self.assertEqual((seen["host"], seen["x-envoy-original-host"]), (["inner.example"], ["outer.example"]), path)
        self.assertNotIn("x-envoy-original-host", self.echoed(fetch(self.plain, "/exact"))["headers"])

    # field: RouteAction.append_x_forwarded_host
    def test_the_original_host_is_told(self) -> None:
        def told(path: str, *before: str) -> list:
            headers = self.echoed(fetch(self.plain, path, headers=[("x-forwarded-host", one) for one in before]))["headers"]
            self.assertEqual(headers["host"], ["inner.example"])
            return headers["x-forwarded-host"]

        for path in ("/forwarded", "/auto"):
            self.assertEqual(told(path), ["test.example"])
            self.assertEqual(told(path, "outer.example"), ["outer.example,test.example"])
            self.assertEqual(told(path, "outer.example, test.example"), ["outer.example, test.example"])  # known already


class DefaultChainTest(WeirTestCase):
    """Filter chains that match everything."""

    @classmethod
    def set_up(cls) -> None:
        cls.matching, cls.default = cls.sandbox.free_port(), cls.sandbox.free_port()
        with_match = http_listener(cls.matching, [direct({"prefix": "/"}, "matched")], name="matching")
        with_match["filter_chains"][0]["filter_chain_match"] = {}
        with_default = http_listener(cls.default, [direct({"prefix": "/"}, "default")], name="default")
        with_default["default_filter_chain"] = with_default.pop("filter_chains")[0]
        cls.weir = Weir(cls.sandbox, bootstrap([with_match, with_default]))

    # field: Listener.default_filter_chain, FilterChain.filter_chain_match
    def test_both_serve(self) -> None:
        self.assertEqual(fetch(self.matching).text, "matched")
        self.assertEqual(fetch(self.default).text, "default")


class WeightTest(WeirTestCase):
    """Shares of weighted clusters and of endpoint weights."""

    @classmethod
    def set_up(cls) -> None:
        cls.servers = {name: Nginx(cls.sandbox, name) for name in ("one", "two", "three")}
        ports = [server.port for server in cls.servers.values()]
        cls.port = cls.sandbox.free_port()
        weighted = {"weighted_clusters": {"clusters": [{"name": "c-one", "weight": 60}, {"name": "c-two", "weight": 30},
                                                       {"name": "c-three", "weight": 10}, {"name": "c-never", "weight": 0}]}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/clusters"}, action=weighted), route({"prefix": "/hosts"}, "hosts"),
            route({"prefix": "/equal"}, "equal")])], [
                cluster("c-one", ports[0]), cluster("c-two", ports[1]), cluster("c-three", ports[2]),
                cluster("c-never", ports[2]), cluster("hosts", *ports, weights=[6, 3, 1]), cluster("equal", *ports)]), 1)

    def share(self, path: str, count: int) -> collections.Counter:
        counts: collections.Counter = collections.Counter()
        with Connection(self.port) as connection:
            for _ in range(count):
                response = connection.request(path=path)
                self.assertEqual(response.status, 200)
                counts[response.text.split()[0]] += 1
        return counts

    # field: RouteAction.weighted_clusters, route.v3.WeightedCluster.clusters, route.v3.WeightedCluster.ClusterWeight.name
    # field: route.v3.WeightedCluster.ClusterWeight.weight
    def test_weighted_clusters(self) -> None:
        counts = self.share("/clusters", 2000)
        # Six standard deviations around the expectation.
        for name, expected in (("one", 0.6), ("two", 0.3), ("three", 0.1)):
            self.assertAlmostEqual(counts[name] / 2000, expected, delta=6 * (expected * (1 - expected) / 2000) ** 0.5)
        self.assertEqual(self.weir.stat("cluster.c-never.upstream_rq_total"), 0)

    # field: StaticResources.clusters, Cluster.name, Cluster.load_assignment, ClusterLoadAssignment.endpoints
    # field: LocalityLbEndpoints.lb_endpoints, LbEndpoint.endpoint, Endpoint.address, LbEndpoint.load_balancing_weight
    def test_endpoint_weights_are_smooth_and_exact(self) -> None:
        self.assertEqual(dict(self.share("/hosts", 100)), {"one": 60, "two": 30, "three": 10})

    def test_round_robin_is_even(self) -> None:
        self.assertEqual(set(self.share("/equal", 99).values()), {33})


if __name__ == "__main__":
    main()
