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
            route({"prefix": "/"}, "echo")]}]
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, virtual_hosts=hosts, http_filters=[CORS, csrf])],
            [cluster("echo", cls.echo.port), cluster("nobody", cls.sandbox.free_port())]))

    def preflight(self, path: str, origin: str = SHOP):
        return fetch(self.port, path, "OPTIONS", headers=[("origin", origin), ("access-control-request-method", "PUT")])

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
