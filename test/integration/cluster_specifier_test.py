"""Routes whose cluster a plugin names: matcher trees over the request."""

from typing import Any

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route

_TYPE = "type.googleapis.com/"
_SPECIFIER = _TYPE + "envoy.extensions.router.cluster_specifiers.matcher.v3."


def to(name: str) -> dict:
    return {"action": {"name": "to", "typed_config": {"@type": _SPECIFIER + "ClusterAction", "cluster": name}}}


def by_header(header: str, otherwise: Any = None, **clusters: str) -> dict:
    """A plugin: the value of a header is looked up."""
    tree: dict = {"matcher_tree": {"input": {"name": "header", "typed_config": {
        "@type": _TYPE + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": header}},
        "exact_match_map": {"map": {value: to(name) for value, name in clusters.items()}}}}
    if otherwise is not None:
        tree["on_no_match"] = to(otherwise)
    return {"extension": {"name": "by-" + header, "typed_config": {"@type": _SPECIFIER + "MatcherClusterSpecifier", "cluster_matcher": tree}}}


class ClusterSpecifierTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.servers = [EchoUpstream(cls.sandbox, name) for name in "abc"]
        cls.port = cls.sandbox.free_port()
        unknown = {"extension": {"name": "unknown", "typed_config": {"@type": _TYPE + "google.protobuf.StringValue", "value": "x"}},
                   "is_optional": True}
        retries = {"retry_policy": {"retry_on": "5xx", "num_retries": 1}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/named"}, action={"cluster_specifier_plugin": "by-x-env"}),
            route({"prefix": "/other"}, action={"cluster_specifier_plugin": "by-x-tenant", "cluster_not_found_response_code": "NOT_FOUND"}),
            route({"prefix": "/inline"}, action={"inline_cluster_specifier_plugin": by_header(":path", otherwise="c", **{"/inline/a": "a"}), **retries},
                  request_headers_to_add=[{"header": {"key": "x-route", "value": "inline"}}]),
            route({"prefix": "/unknown"}, action={"cluster_specifier_plugin": "unknown"}),
            route({"prefix": "/logged"}, action={"cluster_specifier_plugin": "by-x-env"},
                  response_headers_to_add=[{"header": {"key": "x-cluster", "value": "%UPSTREAM_CLUSTER%"}}])],
            route_config={"cluster_specifier_plugins": [by_header("x-env", blue="a", green="b"), by_header("x-tenant", one="b"), unknown]})],
            [cluster(server.name, server.port) for server in cls.servers]))

    def server(self, path: str, *headers: tuple[str, str]) -> str:
        response = fetch(self.port, path, headers=list(headers))
        return self.echoed(response)["server"] if response.status == 200 else str(response.status)

    # field: RouteConfiguration.cluster_specifier_plugins, RouteAction.cluster_specifier_plugin, ClusterSpecifierPlugin.extension
    # field: MatcherClusterSpecifier.cluster_matcher, cluster_specifiers.matcher.v3.ClusterAction.cluster
    def test_by_name(self) -> None:
        self.assertEqual([self.server("/named", ("x-env", value)) for value in ("blue", "green", "red")], ["a", "b", "503"])
        self.assertEqual(self.server("/named"), "503")
        self.assertEqual([self.server("/other", ("x-tenant", value)) for value in ("one", "two")], ["b", "404"])
        self.assertEqual(fetch(self.port, "/logged", headers=[("x-env", "green")]).header("x-cluster"), "b")

    # field: RouteAction.inline_cluster_specifier_plugin
    def test_inline(self) -> None:
        self.assertEqual([self.server("/inline/a"), self.server("/inline/b")], ["a", "c"])
        self.assertEqual(self.echoed(fetch(self.port, "/inline/b"))["headers"]["x-route"], ["inline"])

    # field: ClusterSpecifierPlugin.is_optional
    def test_an_unknown_one_may_be_left_out(self) -> None:
        self.assertEqual(self.server("/unknown"), "503")
        self.assertIn("does not say which cluster a request goes to here", self.weir.process.log())


if __name__ == "__main__":
    main()
