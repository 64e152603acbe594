"""What is written into heads by formatters, rewrites and filters cannot end a line there: no request and no answer is
split, whatever a value holds."""

from typing import Any

from harness import Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route
from harness.upstreams import ServerConnection

EVIL = "a\r\nx-evil: 1\r\n\r\nGET /evil HTTP/1.1\r\nhost: evil"
NAMES = {"crlf": EVIL, "lf": "a\nx-evil: 1", "cr": "a\rx-evil: 1", "nul": "a\0b"}


def metadata(name: str) -> str:
    return "%%DYNAMIC_METADATA(evil:%s)%%" % name


def header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


class SplittingTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.seen: list[str] = []
        upstream = ScriptedUpstream(cls.sandbox, cls.serve)
        cls.port = cls.sandbox.free_port()
        filters = [{"name": "evil", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{"metadata_namespace": "evil", "value": NAMES}]}}]
        routes = []
        for name in NAMES:
            routes += [
                route({"path": "/request/" + name}, "up", request_headers_to_add=[header("x-added", metadata(name))]),
                route({"path": "/host/" + name}, "up", {"host_rewrite": metadata(name)}),
                route({"path": "/path/" + name}, "up", {"path_rewrite": "/" + metadata(name)}),
                route({"path": "/response/" + name}, "up", response_headers_to_add=[header("x-added", metadata(name))]),
                {"match": {"path": "/redirect/" + name}, "redirect": {"path_rewrite": "/" + metadata(name)}},
                {"match": {"path": "/direct/" + name}, "direct_response": {"status": 200},
                 "response_headers_to_add": [header("x-added", metadata(name))]},
            ]
        routes += [
            route({"safe_regex": {"regex": "/encoded/.*"}}, "up", {"regex_rewrite": {
                "pattern": {"regex": "^/encoded/(.*)$"}, "substitution": "/\\1"}}),
            route({"path": "/from_header"}, "up", {"host_rewrite_header": "x-host"}),
            route({"path": "/query"}, "up", request_headers_to_add=[header("x-added", "%PATH(WQ)%")])]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, routes, http_filters=filters)],
                                               [cluster("up", upstream.port)]), concurrency=1)

    @classmethod
    def serve(cls, connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            cls.seen.append("%s %s" % (request.target, request.header("host")))
            assert request.header("x-evil") is None and "evil" not in (request.header("host") or ""), request
            connection.respond(200, headers=[("x-got", repr(request.header("x-added")))], body=b"fine")

    def test_every_place(self) -> None:
        for place in ("request", "host", "path", "response", "redirect", "direct"):
            for name in NAMES:
                with self.subTest(place, name=name), Connection(self.port) as connection:
                    before = len(self.seen)
                    connection.send(b"GET /%s/%s HTTP/1.1\r\nhost: a\r\n\r\n" % (place.encode(), name.encode()))
                    answer = connection.read_response("GET")
                    self.assertEqual(answer.all("x-evil"), [])
                    self.assertLessEqual(len(self.seen) - before, 1)
                    self.assertTrue(all("evil" not in one for one in self.seen[before:]), self.seen[before:])
                    for _, value in answer.headers:
                        self.assertFalse(set(value) & set("\r\n\0"), answer)
                    # The connection is in step: the next answer is that of the next request.
                    if not answer.header("connection"):
                        connection.send(b"GET /query?next HTTP/1.1\r\nhost: a\r\n\r\n")
                        self.assertEqual(connection.read_response("GET").header("x-got"), "'/query?next'")

    def test_what_clients_encode_stays_encoded(self) -> None:
        for path in ("/encoded/a%0d%0ax-evil:%201", "/query?a%0d%0ax-evil:%201"):
            answer = fetch(self.port, path)
            self.assertEqual(answer.status, 200)
        self.assertTrue(self.seen[-2].startswith("/a%0d%0ax-evil:%201 "), self.seen)
        self.assertEqual(fetch(self.port, "/query?a%0d%0ax").header("x-got"), "'/query?a%0d%0ax'")
        self.assertIn(fetch(self.port, "/from_header", headers=[("x-host", "b c")]).status, (400,))


if __name__ == "__main__":
    main()
