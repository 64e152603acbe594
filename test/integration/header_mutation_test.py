"""The header_mutation filter on every level of the route configuration, and on answers that weir makes itself."""

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route

FILTER = "envoy.filters.http.header_mutation"
TYPE = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3."
BUFFER = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"


def append(name: str, value: str) -> dict:
    return {"append": {"header": {"key": name, "value": value}}}


def mutations(word: str) -> dict:
    """Leave their word in headers both ways, and in the query."""
    return {"request_mutations": [append("x-order", word)], "response_mutations": [append("x-order", word)],
            "query_parameter_mutations": [{"append": {"record": {"key": "order", "value": word}}}]}


def level(word: str) -> dict:
    return {FILTER: {"@type": TYPE + "HeaderMutationPerRoute", "mutations": mutations(word)}}


def mutation_filter(name: str = FILTER, word: str = "filter", **fields) -> dict:
    return {"name": name, "typed_config": {"@type": TYPE + "HeaderMutation", "mutations": mutations(word), **fields}}


class LevelsTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port, cls.turned_port = cls.sandbox.free_port(), cls.sandbox.free_port()
        hosts = [{"name": "all", "domains": ["*"], "typed_per_filter_config": level("host"), "routes": [
            route({"prefix": "/all"}, action={"weighted_clusters": {"clusters": [
                {"name": "echo", "weight": 1, "typed_per_filter_config": level("cluster")}]}},
                typed_per_filter_config=level("route")),
            route({"prefix": "/some"}, "echo")]}]
        table = {"typed_per_filter_config": level("table")}
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, virtual_hosts=hosts, route_config=table, http_filters=[mutation_filter()]),
            http_listener(cls.turned_port, virtual_hosts=hosts, route_config={**table, "name": "turned"}, name="turned",
                          http_filters=[mutation_filter(most_specific_header_mutations_wins=True)])],
            [cluster("echo", cls.echo.port)]))

    def check(self, port: int, path: str, *words: str) -> None:
        response = fetch(port, path)
        request = self.echoed(response)
        self.assertEqual(",".join(request["headers"]["x-order"]).replace(" ", ""), ",".join(words))
        self.assertEqual(request["path"], path + "?" + "&".join("order=" + word for word in words))
        self.assertEqual([value for name, value in response.headers if name == "x-order"], list(words))

    def test_most_general_level_last(self) -> None:
        self.check(self.port, "/all", "filter", "cluster", "route", "host", "table")
        self.check(self.port, "/some", "filter", "host", "table")

    def test_most_specific_level_last(self) -> None:
        self.check(self.turned_port, "/all", "filter", "table", "host", "route", "cluster")
        self.check(self.turned_port, "/some", "filter", "table", "host")


class LocalAnswerTest(WeirTestCase):
    """An answer runs back through the filters before the one that gives it."""

    @classmethod
    def set_up(cls) -> None:
        cls.port = cls.sandbox.free_port()
        filters = [mutation_filter("first", "first"),
                   {"name": "buffer", "typed_config": {"@type": BUFFER, "max_request_bytes": 10}},
                   mutation_filter("second", "second")]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, [route({"prefix": "/"}, "nobody")], http_filters=filters)],
            [cluster("nobody", cls.sandbox.free_port())]))

    def test_the_routers_passes_all_filters(self) -> None:
        response = fetch(self.port, "/")
        self.assertEqual(response.status, 503)
        self.assertEqual([value for name, value in response.headers if name == "x-order"], ["second", "first"])

    def test_a_limits_passes_those_the_request_has_entered(self) -> None:
        response = fetch(self.port, "/", method="POST", body=b"more than ten bytes")
        self.assertEqual(response.status, 413)
        self.assertEqual([value for name, value in response.headers if name == "x-order"], ["first"])


if __name__ == "__main__":
    main()
