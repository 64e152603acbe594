"""The filters cors and csrf: from the configuration to what a browser would get."""

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route

TYPE = "type.googleapis.com/envoy.extensions.filters.http."
SHOP = "https://shop.example"
CORS = {"name": "envoy.filters.http.cors", "typed_config": {"@type": TYPE + "cors.v3.Cors"}}


def policy(**fields) -> dict:
    return {"envoy.filters.http.cors": {"@type": TYPE + "cors.v3.CorsPolicy",
                                        "allow_origin_string_match": [{"exact": SHOP}], **fields}}


class CrossOriginTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        csrf = {"name": "envoy.filters.http.csrf", "typed_config": {
            "@type": TYPE + "csrf.v3.CsrfPolicy",
            "filter_enabled": {"default_value": {"numerator": 0}, "runtime_key": "csrf.enabled"},
            "shadow_enabled": {"default_value": {"numerator": 1_000_000, "denominator": "MILLION"}}}}
        hosts = [{"name": "all", "domains": ["*"], "typed_per_filter_config": policy(max_age="60"), "routes": [
            route({"prefix": "/own"}, "echo", typed_per_filter_config=policy(max_age="5", allow_credentials=True)),
            route({"prefix": "/gone"}, "nobody"),
            route({"prefix": "/"}, "echo")]}, cls.old_host()]
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, virtual_hosts=hosts, http_filters=[CORS, csrf])],
            [cluster("echo", cls.echo.port), cluster("nobody", cls.sandbox.free_port())]))

    # The policies as they were written before filters had messages of their own for it.
    @staticmethod
    def old_host() -> dict:
        def cors(**fields) -> dict:
            return {"allow_origin_string_match": [{"exact": SHOP}], **fields}

        full = cors(allow_methods="GET, PUT", allow_headers="x-a", expose_headers="x-b", max_age="9", allow_credentials=True,
                    allow_private_network_access=True, forward_not_matching_preflights=False)
        off = {"default_value": {"numerator": 0}, "runtime_key": "cors.enabled"}
        shadow = {"default_value": {"numerator": 0}, "runtime_key": "cors.shadow"}
        return {"name": "old", "domains": ["old.example"], "cors": cors(max_age="70"), "routes": [
            route({"prefix": "/full"}, "echo", action={"cors": full}),
            route({"prefix": "/part"}, "echo", action={"cors": {"allow_methods": "PATCH"}}),
            route({"prefix": "/switched"}, "echo", action={"cors": cors(filter_enabled=off, shadow_enabled=shadow)}),
            {**route({"prefix": "/typed"}, "echo"), "typed_per_filter_config": policy(max_age="5")},
            route({"prefix": "/"}, "echo")]}

    def preflight(self, path: str, origin: str = SHOP, host: str = "all.example", more=()):
        return fetch(self.port, path, "OPTIONS", host,
                     headers=[("origin", origin), ("access-control-request-method", "PUT"), *more])

    # field: cors.v3.CorsPolicy.allow_origin_string_match, cors.v3.CorsPolicy.max_age, cors.v3.CorsPolicy.allow_credentials
    def test_the_most_specific_policy(self) -> None:
        answer = self.preflight("/")
        self.assertEqual((answer.status, answer.header("access-control-allow-origin"), answer.header("access-control-max-age")),
                         (200, SHOP, "60"))
        self.assertEqual((answer.header("access-control-allow-credentials"), answer.body), (None, b""))
        answer = self.preflight("/own")
        self.assertEqual((answer.header("access-control-max-age"), answer.header("access-control-allow-credentials")), ("5", "true"))
        self.assertEqual(self.echo.requests, [])
        self.assertIsNone(self.preflight("/", "https://evil.example").header("access-control-allow-origin"))
        self.assertEqual(len(self.echo.requests), 1)
        self.echo.requests.clear()

    # field: VirtualHost.cors, RouteAction.cors, route.v3.CorsPolicy.allow_origin_string_match, route.v3.CorsPolicy.allow_methods
    # field: route.v3.CorsPolicy.allow_headers, route.v3.CorsPolicy.expose_headers, route.v3.CorsPolicy.max_age
    # field: route.v3.CorsPolicy.allow_credentials, route.v3.CorsPolicy.allow_private_network_access
    # field: route.v3.CorsPolicy.forward_not_matching_preflights
    def test_policies_of_before_per_route_configurations(self) -> None:
        self.echo.requests.clear()
        names = ["origin", "max-age", "allow-methods", "allow-headers", "allow-credentials", "allow-private-network"]

        def told(path: str, origin: str = SHOP) -> tuple:
            answer = self.preflight(path, origin, "old.example", [("access-control-request-private-network", "true")])
            return answer.status, *[answer.header("access-control-" + name.replace("origin", "allow-origin")) for name in names]

        self.assertEqual(told("/"), (200, SHOP, "70", None, None, None, None))
        self.assertEqual(told("/full"), (200, SHOP, "9", "GET, PUT", "x-a", "true", "true"))
        self.assertEqual(told("/part"), (200, SHOP, "70", "PATCH", None, None, None))  # the rest as the virtual host says
        self.assertEqual(told("/typed"), (200, SHOP, "5", None, None, None, None))  # the other way, at a level below
        self.assertEqual(told("/full", "https://evil.example"), (200, None, None, None, None, None, None))
        self.assertEqual(self.echo.requests, [])
        answer = fetch(self.port, "/full", host="old.example", headers=[("origin", SHOP)])
        self.assertEqual((answer.status, answer.header("access-control-expose-headers")), (200, "x-b"))
        self.assertIsNone(told("/", "https://evil.example")[1])
        self.assertEqual(len(self.echo.requests), 2)  # passed on
        self.echo.requests.clear()
        self.assertIn("is deprecated; typed_per_filter_config takes the same", self.weir.process.log())

    # field: route.v3.CorsPolicy.filter_enabled, route.v3.CorsPolicy.shadow_enabled
    def test_policies_of_before_switched_at_run_time(self) -> None:
        def origin() -> str:
            return self.preflight("/switched", host="old.example").header("access-control-allow-origin")

        valid = self.weir.stat("http.ingress.cors.origin_valid")
        self.assertIsNone(origin())
        self.weir.admin("/runtime_modify?cors.shadow=100", "POST")
        self.assertIsNone(origin())
        self.weir.wait_stat("http.ingress.cors.origin_valid", valid + 1)
        self.weir.admin("/runtime_modify?cors.enabled=100", "POST")
        self.assertEqual(origin(), SHOP)
        self.weir.admin("/runtime_modify?cors.enabled=&cors.shadow=", "POST")
        self.echo.requests.clear()

    def test_answers_of_weir_itself(self) -> None:
        answer = fetch(self.port, "/gone", headers=[("origin", SHOP)])
        self.assertEqual((answer.status, answer.header("access-control-allow-origin"), answer.header("vary")), (503, SHOP, "Origin"))

    # field: RuntimeFractionalPercent@filter.default_value, RuntimeFractionalPercent@filter.runtime_key
    def test_csrf_switched_at_run_time(self) -> None:
        def post(origin: str) -> int:
            return fetch(self.port, "/", "POST", headers=[("origin", origin)], body=b"x").status

        self.assertEqual((post("https://test.example"), post("https://evil.example")), (200, 200))
        self.weir.wait_stat_is("http.ingress.csrf.request_invalid", 1)
        self.weir.admin("/runtime_modify?csrf.enabled=100", "POST")
        self.assertEqual((post("https://test.example"), post("https://evil.example")), (200, 403))
        self.weir.wait_stat_is("http.ingress.csrf.request_valid", 2)
        self.weir.admin("/runtime_modify?csrf.enabled=", "POST")
        self.assertEqual(post("https://evil.example"), 200)
        self.echo.requests.clear()


if __name__ == "__main__":
    main()
