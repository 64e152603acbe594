"""Redirects of an upstream that weir follows itself (internal_redirect_policy)."""

import subprocess
from typing import Any

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, http_listener, main, route, to_yaml,
                     weir_binary)
from harness.wire import Message


class InternalRedirectTest(WeirTestCase):
    """Redirects of an upstream that weir follows: the request runs through the filters again."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()

        def predicate(name: str, **fields: Any) -> dict:
            return {"name": name, "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.internal_redirect.%s.v3.%sConfig" % (
                    name, "".join(word.capitalize() for word in name.split("_"))), **fields}}

        def policy(**fields: Any) -> dict:
            return {"internal_redirect_policy": fields}

        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            direct({"path": "/end"}, "the end", name="end"),
            direct({"path": "/other"}, "another end", name="other"),
            route({"prefix": "/plain"}, "echo", policy()),
            route({"prefix": "/old/pass"}, "echo", {"internal_redirect_action": "PASS_THROUGH_INTERNAL_REDIRECT"}),
            route({"prefix": "/old"}, "echo", {"internal_redirect_action": "HANDLE_INTERNAL_REDIRECT",
                                               "max_internal_redirects": 2}),
            route({"prefix": "/see"}, "echo", policy(redirect_response_codes=[303, 308],
                                                     response_headers_to_copy=["x-ticket"], max_internal_redirects=2)),
            route({"prefix": "/listed"}, "echo", policy(predicates=[predicate("allow_listed_routes", allowed_route_names=["end"])])),
            route({"prefix": "/once"}, "echo", policy(max_internal_redirects=9, predicates=[predicate("previous_routes")])),
            route({"prefix": "/scheme"}, "echo", policy(allow_cross_scheme_redirect=True)),
            route({"prefix": "/safe"}, "echo", policy(allow_cross_scheme_redirect=True, predicates=[predicate("safe_cross_scheme")])),
        ])], [cluster("echo", cls.echo.port)]))

    def sent(self, path: str, status: int, location: str, *more: tuple[str, str]) -> Message:
        return fetch(self.port, path, headers=[("x-test-status", str(status)), ("x-test-header", "location=" + location), *more])

    # field: RouteAction.internal_redirect_policy, InternalRedirectPolicy.redirect_response_codes
    def test_followed(self) -> None:
        self.assertEqual(self.sent("/plain", 302, "/end").text, "the end")
        self.assertEqual(self.sent("/plain", 302, "http://test.example/end").text, "the end")
        self.assertEqual(self.sent("/plain", 301, "/end").status, 301)
        self.assertEqual(self.sent("/see", 303, "/end").text, "the end")
        self.assertEqual(self.sent("/see", 302, "/end").status, 302)
        self.weir.wait_stat("cluster.echo.upstream_internal_redirect_succeeded_total", 3)

    # field: InternalRedirectPolicy.response_headers_to_copy, InternalRedirectPolicy.max_internal_redirects
    def test_headers_and_number(self) -> None:
        before = len(self.echo.requests)
        # It is sent to itself, always with the same answer: twice, and then the client has it.
        answer = self.sent("/see", 308, "/see/again", ("x-test-header", "x-ticket=7"))
        self.assertEqual(answer.status, 308)
        requests = self.echo.requests[before:]
        self.assertEqual([request.header("x-ticket") for request in requests], [None, "7", "7"])
        self.assertEqual(requests[-1].header("x-envoy-original-url"), "http://test.example/see")
        self.weir.wait_stat_is("http.ingress.passthrough_internal_redirect_too_many_redirects", 1)

    # field: RouteAction.internal_redirect_action, RouteAction.max_internal_redirects
    def test_the_deprecated_fields(self) -> None:
        self.assertEqual(self.sent("/old/pass", 302, "/end").status, 302)
        self.assertEqual(self.sent("/old", 302, "/end").text, "the end")
        self.assertEqual(self.sent("/old", 301, "/end").status, 301)
        before = len(self.echo.requests)
        self.assertEqual(self.sent("/old", 302, "/old/again").status, 302)
        self.assertEqual(len(self.echo.requests), before + 3)

    # field: InternalRedirectPolicy.predicates, AllowListedRoutesConfig.allowed_route_names
    def test_predicates(self) -> None:
        self.assertEqual(self.sent("/listed", 302, "/end").text, "the end")
        self.assertEqual(self.sent("/listed", 302, "/other").status, 302)
        before = len(self.echo.requests)
        self.assertEqual(self.sent("/once", 302, "/once/more").status, 302)
        self.assertEqual(len(self.echo.requests), before + 2)

    # field: InternalRedirectPolicy.allow_cross_scheme_redirect
    def test_schemes(self) -> None:
        self.assertEqual(self.sent("/plain", 302, "https://test.example/end").status, 302)
        self.assertEqual(self.sent("/scheme", 302, "https://test.example/end").text, "the end")
        self.assertEqual(self.sent("/safe", 302, "https://test.example/end").status, 302)

    def test_what_no_proxy_can_do(self) -> None:
        config = bootstrap([http_listener(1, [route({"prefix": "/"}, "echo", {"internal_redirect_policy": {
            "redirect_response_codes": [302, 200], "response_headers_to_copy": ["a b"]}})])], [cluster("echo", 1)])
        path = self.sandbox.write("bad.yaml", to_yaml(config) + "\n")
        process = subprocess.run([weir_binary(), "-c", path, "--mode", "validate"], stderr=subprocess.PIPE, text=True, check=False)
        self.assertIn("redirect_response_codes[1]: 200 is no redirect to follow", process.stderr)
        self.assertIn('response_headers_to_copy[0]: "a b" is not a header name', process.stderr)


if __name__ == "__main__":
    main()
