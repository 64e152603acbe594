"""Matcher trees, path templates, runtime values and metadata, end to end."""

import json
import os
import signal
import subprocess
from typing import Any

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log, http_listener, main,
                     route, to_yaml, wait_until, weir_binary)

TYPE = "type.googleapis.com/"
INPUTS = TYPE + "envoy.type.matcher.v3."
NETWORK = TYPE + "envoy.extensions.matching.common_inputs.network.v3."
FILE_LOG = TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog"


def typed(kind: str, **fields: Any) -> dict:
    return {"name": "x", "typed_config": {"@type": kind, **fields}}


def header(name: str) -> dict:
    return typed(INPUTS + "HttpRequestHeaderMatchInput", header_name=name)


def action(*routes: dict) -> dict:
    if len(routes) == 1:
        return {"action": typed(TYPE + "envoy.config.route.v3.Route", **routes[0])}
    return {"action": typed(TYPE + "envoy.config.route.v3.RouteList", routes=list(routes))}


class MatcherTreeTest(WeirTestCase):
    """A virtual host whose routes are the actions of a tree: by path, then by header, then by address."""

    @classmethod
    def set_up(cls) -> None:
        by_header = {"matcher_list": {"matchers": [{
            "predicate": {"and_matcher": {"predicate": [
                {"single_predicate": {"input": header("x-user"), "value_match": {"prefix": "admin"}}},
                {"not_matcher": {"single_predicate": {"input": header("x-user"), "value_match": {"suffix": "-off"}}}}]}},
            "on_match": action(direct({"prefix": "/"}, "admin"))}]}}
        by_address = {"matcher_tree": {
            "input": typed(NETWORK + "SourceIPInput"),
            "custom_match": typed(TYPE + "xds.type.matcher.v3.IPMatcher", range_matchers=[{
                "ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}],
                "on_match": action(direct({"path": "/who"}, "loopback"), direct({"prefix": "/who/"}, "below"))}])}}
        tree = {"matcher_tree": {"input": header(":path"), "prefix_match_map": {"map": {
            "/": action(direct({"prefix": "/"}, "any")),
            "/secret": {"matcher": by_header},
            "/secret/public": action(direct({"prefix": "/"}, "public")),
            "/who": {"matcher": by_address}}}}}
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=[
            {"name": "tree", "domains": ["*"], "matcher": tree}])]))

    # field: VirtualHost.matcher
    def test_paths_lead_to_routes(self) -> None:
        for path, user, expected in (
                ("/x", "", "any"), ("/secret/public/1", "", "public"), ("/secret", "admin-1", "admin"),
                ("/secret", "admin-off", "any"), ("/secret", "", "any"), ("/who", "", "loopback"), ("/who/is", "", "below")):
            with self.subTest(path, user=user):
                headers = [("x-user", user)] if user else []
                self.assertEqual(fetch(self.port, path, headers=headers).text, expected)

    def test_an_action_whose_route_does_not_match_is_no_route(self) -> None:
        self.assertEqual(fetch(self.port, "/whoever").status, 404)


class ExactMapTest(WeirTestCase):
    """A tree that goes by the whole value of a header, with an answer for all others."""

    @classmethod
    def set_up(cls) -> None:
        tree = {"matcher_tree": {"input": header("x-tenant"), "exact_match_map": {"map": {
            "blue": action(direct({"prefix": "/"}, "blue")),
            "by-query": {"matcher": {"matcher_list": {"matchers": [{
                "predicate": {"or_matcher": {"predicate": [
                    {"single_predicate": {"input": typed(INPUTS + "HttpRequestQueryParamMatchInput", query_param="beta"),
                                          "value_match": {"exact": "1"}}},
                    {"single_predicate": {"input": header("x-beta"), "value_match": {"exact": "YES", "ignore_case": True}}}]}},
                "on_match": action(direct({"prefix": "/"}, "beta"))}]}}}}}},
            "on_no_match": action(direct({"path": "/odd"}, "odd"), direct({"prefix": "/"}, "everybody"))}
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=[
            {"name": "tree", "domains": ["*"], "matcher": tree}])]))

    def test_who_gets_what(self) -> None:
        for path, headers, expected in (
                ("/", [("x-tenant", "blue")], "blue"), ("/", [("x-tenant", "blu")], "everybody"), ("/odd", [], "odd"),
                ("/", [("x-tenant", "by-query"), ("x-beta", "yes")], "beta"), ("/?a=b&beta=1", [("x-tenant", "by-query")], "beta"),
                ("/?b%65ta=%31", [("x-tenant", "by-query")], "beta"),
                ("/?beta=2", [("x-tenant", "by-query")], "everybody"), ("/", [("x-tenant", "blue"), ("x-tenant", "blue")], "everybody")):
            with self.subTest(path, headers=headers):
                self.assertEqual(fetch(self.port, path, headers=headers).text, expected)


class ChoiceTest(WeirTestCase):
    """Which cluster, which host and which answer, by what the request says."""

    @classmethod
    def set_up(cls) -> None:
        cls.one, cls.two = (EchoUpstream(cls.sandbox, name) for name in ("one", "two"))
        cls.port, cls.named = cls.sandbox.free_port(), cls.sandbox.free_port()

        def weighted(**more: Any) -> dict:
            return {"weighted_clusters": {"clusters": [{"name": "one", "weight": 1}, {"name": "two", "weight": 3}], **more}}

        by_host = {"pattern": {"regex": "^/path-host/([a-z.]+)/.*$"}, "substitution": "\\1"}
        away = {"pattern": {"regex": "^/away/(.*)$"}, "substitution": "/\\1/gone"}
        conditions = [{"name": "x-low", "range_match": {"start": 0, "end": 10}}, {"name": "x-word", "string_match": {"suffix": "-end"}},
                      {"name": "x-none", "string_match": {"exact": ""}, "treat_missing_header_as_empty": True},
                      {"name": "x-not", "present_match": True, "invert_match": True}]
        named = http_listener(cls.named, virtual_hosts=[
            {"name": name, "domains": [name], "routes": [direct({"prefix": "/"}, name)]} for name in ("inside", "test.example")],
            route_config={"vhost_header": "x-vhost"}, name="named", stat_prefix="named")
        config = bootstrap([named, http_listener(cls.port, virtual_hosts=[
            {"name": "rest", "domains": ["*"], "retry_policy": {"retry_on": "5xx", "num_retries": 2}, "routes": [
                route({"prefix": "/header"}, action={"cluster_header": "x-to"}),
                route({"prefix": "/dice"}, action=weighted(header_name="x-dice")),
                route({"prefix": "/shares"}, action=weighted(runtime_key_prefix="shares")),
                route({"prefix": "/split"}, action={"weighted_clusters": {"clusters": [
                    {"cluster_header": "x-to", "weight": 1, "host_rewrite_literal": "split.example"}]}}),
                route({"prefix": "/asked-host"}, "one", {"host_rewrite_header": "x-host"}),
                route({"prefix": "/path-host/"}, "one", {"host_rewrite_path_regex": by_host}),
                {"match": {"prefix": "/port"}, "redirect": {"port_redirect": 8443, "scheme_redirect": "https", "response_code": "FOUND"}},
                {"match": {"prefix": "/away/"}, "redirect": {"regex_rewrite": away, "strip_query": True}},
                {"match": {"prefix": "/nowhere"}, "non_forwarding_action": {}},
                direct({"prefix": "/if", "headers": conditions}, "conditions"),
                direct({"prefix": "/if", "cookies": [{"name": "tier", "string_match": {"prefix": "go"}}]}, "cookie"),
                direct({"prefix": "/if", "cookies": [{"name": "id", "string_match": {"exact": "7"}, "invert_match": True}],
                        "query_parameters": [{"name": "debug", "present_match": True}, {"name": "quiet", "present_match": False}]}, "query"),
                direct({"prefix": "/if", "grpc": {}}, "grpc"),
                route({"prefix": "/"}, "one")]}])], [cluster("one", cls.one.port), cluster("two", cls.two.port)])
        config["layered_runtime"] = {"layers": [{"name": "admin", "admin_layer": {}}]}
        cls.weir = Weir(cls.sandbox, config, concurrency=1)

    def served(self, path: str, **headers: str) -> dict:
        return self.echoed(fetch(self.port, path, headers=[(name.replace("_", "-"), value) for name, value in headers.items()]))

    # field: RouteAction.cluster_header, WeightedCluster.header_name, WeightedCluster.runtime_key_prefix
    # field: WeightedCluster.ClusterWeight.cluster_header, WeightedCluster.ClusterWeight.host_rewrite_literal
    def test_clusters(self) -> None:
        for name in ("one", "two"):
            self.assertEqual(self.served("/header", x_to=name)["server"], name)
        self.assertEqual(fetch(self.port, "/header", headers=[("x-to", "three")]).status, 503)
        self.assertEqual(fetch(self.port, "/header").status, 503)
        # Of the sum of the weights, 4: 0 is the first one's, 1 to 3 the other's.
        self.assertEqual([self.served("/dice", x_dice=str(number))["server"] for number in (0, 1, 3, 4, 6)],
                         ["one", "two", "two", "one", "two"])
        self.weir.admin("/runtime_modify?shares.two=0", "POST")
        wait_until(lambda: {self.served("/shares")["server"] for _ in range(20)} == {"one"}, "only the first one")
        self.weir.admin("/runtime_modify?shares.one=0&shares.two=5", "POST")
        wait_until(lambda: {self.served("/shares")["server"] for _ in range(20)} == {"two"}, "only the second one")
        split = self.served("/split", x_to="two")
        self.assertEqual((split["server"], split["headers"]["host"]), ("two", ["split.example"]))

    # field: RouteAction.host_rewrite_header, RouteAction.host_rewrite_path_regex, RouteConfiguration.vhost_header
    def test_hosts(self) -> None:
        self.assertEqual(self.served("/asked-host", x_host="asked.example")["headers"]["host"], ["asked.example"])
        self.assertEqual(self.served("/asked-host")["headers"]["host"], ["test.example"])
        self.assertEqual(fetch(self.port, "/asked-host", headers=[("x-host", "no host")]).status, 400)
        self.assertEqual(self.served("/path-host/a.example/x")["headers"]["host"], ["a.example"])
        self.assertEqual(fetch(self.named, headers=[("x-vhost", "inside")]).text, "inside")
        self.assertEqual(fetch(self.named, host="inside", headers=[("x-vhost", "test.example")]).text, "test.example")
        self.assertEqual(fetch(self.named, host="inside").status, 404)

    # field: RedirectAction.port_redirect, RedirectAction.scheme_redirect, RedirectAction.regex_rewrite
    # field: Route.non_forwarding_action, VirtualHost.retry_policy
    def test_answers(self) -> None:
        answer = fetch(self.port, "/port?a=b")
        self.assertEqual((answer.status, answer.header("location")), (302, "https://test.example:8443/port?a=b"))
        answer = fetch(self.port, "/away/far?a=b")
        self.assertEqual((answer.status, answer.header("location")), (301, "http://test.example/far/gone"))
        self.assertEqual(fetch(self.port, "/nowhere").status, 404)
        before = len(self.one.requests)
        self.assertEqual(fetch(self.port, "/tried", headers=[("x-test-status", "500")]).status, 500)
        self.assertEqual(len(self.one.requests), before + 3)

    # field: HeaderMatcher.treat_missing_header_as_empty, RouteMatch.cookies, CookieMatcher.name, CookieMatcher.string_match
    # field: CookieMatcher.invert_match, QueryParameterMatcher.present_match, RouteMatch.grpc
    def test_conditions(self) -> None:
        def answer(path: str = "/if", **headers: str) -> str:
            return fetch(self.port, path, headers=[(name.replace("_", "-"), value) for name, value in headers.items()]).text

        self.assertEqual(answer(x_low="9", x_word="the-end"), "conditions")
        for headers in ({"x_low": "10", "x_word": "the-end"}, {"x_low": "9", "x_word": "end-of"},
                        {"x_low": "9", "x_word": "the-end", "x_none": "1"}, {"x_low": "9", "x_word": "the-end", "x_not": ""}):
            self.assertNotEqual(answer(**headers), "conditions", headers)
        self.assertEqual(answer(cookie="a=b; tier=gold"), "cookie")
        self.assertEqual(answer("/if?debug", cookie="tier=lead"), "query")
        for path in ("/if?debugs", "/if?debug&quiet"):
            self.assertNotEqual(answer(path, cookie="tier=lead"), "query", path)
        self.assertNotEqual(answer("/if?debug", cookie="id=7"), "query")
        for kind in ("application/grpc", "application/grpc+proto"):  # answered as gRPC is
            self.assertIsNotNone(fetch(self.port, "/if", headers=[("content-type", kind)]).header("grpc-status"))
        self.assertNotEqual(answer(content_type="application/grpc-web"), "grpc")


class PathTemplateTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        match = typed(TYPE + "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                      path_template="/content/{format}/{lang}/{id}/{file}.vtt")
        rewrite = typed(TYPE + "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
                        path_template_rewrite="/{lang}/{format}/{file}.vtt")
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"path_match_policy": match}, "echo", {"path_rewrite_policy": rewrite}),
            direct({"prefix": "/"}, "rest")])], [cluster("echo", cls.echo.port)]))

    # field: RouteMatch.path_match_policy, RouteAction.path_rewrite_policy, UriTemplateMatchConfig.path_template
    # field: UriTemplateRewriteConfig.path_template_rewrite
    def test_match_and_rewrite(self) -> None:
        account = self.echoed(fetch(self.port, "/content/hls/en-us/12345/en_193913.vtt?a=b"))
        self.assertEqual(account["path"], "/en-us/hls/en_193913.vtt?a=b")
        for path in ("/content/hls/en-us/12345/en.srt", "/content/hls/12345/en.vtt", "/content/hls/en-us/12345/.vtt"):
            self.assertEqual(fetch(self.port, path).text, "rest", path)


class RuntimeTest(WeirTestCase):
    """A route taken by a share of the requests, which operators change while weir runs."""

    @classmethod
    def set_up(cls) -> None:
        cls.disk = cls.sandbox.path("runtime")
        os.makedirs(os.path.join(cls.disk, "routing"))
        cls.port = cls.sandbox.free_port()
        cls.config = bootstrap([http_listener(cls.port, [
            direct({"prefix": "/", "runtime_fraction": {"default_value": {"numerator": 0}, "runtime_key": "routing.new"}}, "new"),
            direct({"prefix": "/"}, "old")])])
        cls.config["layered_runtime"] = {"layers": [
            {"name": "base", "static_layer": {"routing": {"new": 0, "note": "text"}, "flag": True}},
            {"name": "disk", "disk_layer": {"symlink_root": cls.disk}},
            {"name": "admin", "admin_layer": {}}]}
        cls.weir = Weir(cls.sandbox, cls.config)

    def answers(self, count: int = 40) -> set[str]:
        return {fetch(self.port).text for _ in range(count)}

    def becomes(self, expected: set[str]) -> None:
        wait_until(lambda: self.answers() == expected, "answers %s" % expected)

    # field: RuntimeFractionalPercent.runtime_key
    def test_layers_overrides_and_reload(self) -> None:
        self.assertEqual(self.answers(), {"old"})
        shown = self.weir.admin_json("/runtime")
        self.assertEqual(shown["layers"], ["base", "disk", "admin"])
        self.assertEqual(shown["entries"]["routing.new"], {"final_value": "0", "layer_values": ["0", "", ""]})
        self.assertEqual(shown["entries"]["flag"]["final_value"], "true")

        self.assertEqual(self.weir.admin("/runtime_modify?routing.new=100", "POST"), "OK\n")
        self.becomes({"new"})
        self.assertEqual(self.weir.stat("runtime.admin_overrides_active"), 1)
        self.assertEqual(self.weir.admin_json("/runtime")["entries"]["routing.new"]["layer_values"], ["0", "", "100"])
        self.assertEqual(self.weir.admin("/runtime_modify?routing.new=50", "POST"), "OK\n")
        self.becomes({"new", "old"})
        self.weir.admin("/runtime_modify?routing.new=", "POST")
        self.becomes({"old"})

        # A file counts from the next reload on.
        with open(os.path.join(self.disk, "routing", "new"), "w", encoding="utf-8") as file:
            file.write("# all of it\nnumerator: 1000000\ndenominator: MILLION\n")
        self.weir.process.signal(signal.SIGHUP)
        self.becomes({"new"})
        self.assertEqual(self.weir.stat("runtime.num_layers"), 3)
        self.assertGreaterEqual(self.weir.stat("runtime.load_success"), 2)

    def test_the_file_says_what_is_wrong(self) -> None:
        config = {**self.config, "layered_runtime": {"layers": [{"name": "a", "static_layer": {"x": [1]}},
                                                                {"name": "a", "rtds_layer": {"name": "r"}}]}}
        path = self.sandbox.write("bad.yaml", to_yaml(config) + "\n")
        process = subprocess.run([weir_binary(), "-c", path, "--mode", "validate"], stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(process.returncode, 1)
        for part in ("layered_runtime.layers[0].static_layer.x: a runtime value is a number, a boolean, a text or a fraction",
                     "layered_runtime.layers[1].name: a is the name of layers[0] too",
                     "layered_runtime.layers[1].rtds_layer: not supported by weir yet"):
            self.assertIn(part, process.stderr)


class MetadataTest(WeirTestCase):
    """Metadata of route, virtual host, cluster, endpoint and listener in text and JSON logs."""

    @classmethod
    def set_up(cls) -> None:
        def metadata(name: str) -> dict:
            return {"filter_metadata": {"com.example": {"name": name, "nested": {"list": [1, True, None], "size": 2}}}}

        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.text_path, cls.json_path = cls.sandbox.path("text.log"), cls.sandbox.path("json.log")
        kinds = ("ROUTE", "VIRTUAL_HOST", "CLUSTER", "UPSTREAM_HOST", "LISTENER", "DYNAMIC")
        line = " ".join("%%METADATA(%s:com.example:name)%%" % kind for kind in kinds)
        line += " %CLUSTER_METADATA(com.example:nested:size)% %UPSTREAM_METADATA(com.example:nested)% %FILTER_STATE(none:PLAIN)%\n"
        json_log = typed(FILE_LOG, path=cls.json_path, log_format={"json_format": {
            "path": "%REQ(:PATH)%", "nested": "%METADATA(ROUTE:com.example:nested)%",
            "size": "%METADATA(CLUSTER:com.example:nested:size)%", "none": "%DYNAMIC_METADATA(a:b)%"}})
        backend = cluster("echo", cls.echo.port, metadata=metadata("a-cluster"))
        backend["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["metadata"] = metadata("a-host")
        listener = http_listener(cls.port, virtual_hosts=[{
            "name": "all", "domains": ["*"], "metadata": metadata("a-virtual-host"), "routes": [
                direct({"prefix": "/direct"}, "direct"), route({"prefix": "/"}, "echo", metadata=metadata("a-route"))]}],
            access_log=[file_access_log(cls.text_path, line), json_log])
        listener["metadata"] = metadata("a-listener")
        cls.weir = Weir(cls.sandbox, bootstrap([listener], [backend]))

    def line_of(self, path: str, number: int) -> str:
        def found() -> str:
            try:
                with open(path, encoding="utf-8") as file:
                    lines = file.readlines()
            except FileNotFoundError:
                return ""
            return lines[number] if len(lines) > number and lines[number].endswith("\n") else ""

        return wait_until(found, "line %d of %s" % (number, path), 15)

    # field: Route.metadata, VirtualHost.metadata, Cluster.metadata, LbEndpoint.metadata, Listener.metadata
    # field: envoy.config.core.v3.Metadata.filter_metadata, Metadata@host.filter_metadata
    def test_logs(self) -> None:
        # One request at a time: they may be of different workers, and each writes its own lines.
        self.assertEqual(fetch(self.port, "/x").status, 200)
        self.assertEqual(self.line_of(self.text_path, 0),
                         'a-route a-virtual-host a-cluster a-host a-listener - 2 {"list":[1,true,null],"size":2} -\n')
        self.assertEqual(json.loads(self.line_of(self.json_path, 0)),
                         {"path": "/x", "nested": {"list": [1, True, None], "size": 2}, "size": 2, "none": None})
        self.assertEqual(fetch(self.port, "/direct").text, "direct")
        self.assertEqual(self.line_of(self.text_path, 1), "- a-virtual-host - - a-listener - - - -\n")


if __name__ == "__main__":
    main()
