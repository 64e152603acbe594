"""The filter rbac: who gets through, as whom the log and the statistics have it."""

import json
import os

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log, http_listener, main, route,
                     wait_until)

TYPE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3."
ANYBODY = [{"any": True}]


def per_route(**rbac) -> dict:
    return {"envoy.filters.http.rbac": {"@type": TYPE + "RBACPerRoute", **rbac}}


class RbacTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.log = cls.sandbox.path("access.log")
        rules = {"action": "DENY", "policies": {
            "no admin": {"permissions": [{"url_path": {"path": {"prefix": "/admin"}}}],
                         "principals": [{"not_id": {"header": {"name": "x-user", "string_match": {"exact": "root"}}}}]},
            "no post": {"permissions": [{"and_rules": {"rules": [
                {"header": {"name": ":method", "string_match": {"exact": "POST"}}},
                {"destination_port": cls.port}]}}],
                "principals": [{"direct_remote_ip": {"address_prefix": "127.0.0.0", "prefix_len": 8}}]}}}
        rbac = {"name": "envoy.filters.http.rbac", "typed_config": {
            "@type": TYPE + "RBAC", "rules": rules, "track_per_rule_stats": True,
            "shadow_rules": {"policies": {"local": {"permissions": ANYBODY, "principals": [
                {"remote_ip": {"address_prefix": "10.0.0.0", "prefix_len": 8}}]}}},
            "shadow_rules_stat_prefix": "dry"}}
        nobody = {"rules": {"policies": {}}}
        tracked = {"track_per_rule_stats": True, "rules": {"action": "DENY", "policies": {
            "no query": {"permissions": [{"header": {"name": ":path", "string_match": {"contains": "?"}}}], "principals": ANYBODY}}}}
        log = file_access_log(cls.log, "%RESPONSE_CODE_DETAILS% %DYNAMIC_METADATA(envoy.filters.http.rbac)%\n")
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/closed"}, "echo", typed_per_filter_config=per_route(rbac=nobody)),
            route({"prefix": "/open"}, "echo", typed_per_filter_config=per_route()),
            route({"prefix": "/tracked"}, "echo", typed_per_filter_config=per_route(rbac=tracked)),
            route({"prefix": "/"}, "echo")], http_filters=[rbac], access_log=[log], normalize_path=True, merge_slashes=True)],
            [cluster("echo", cls.echo.port)]))

    def status(self, path: str, method: str = "GET", user: str = "", **more) -> int:
        return fetch(self.port, path, method, headers=[("x-user", user)] if user else [], **more).status

    def test_a_policies(self) -> None:
        answer = fetch(self.port, "/admin")
        self.assertEqual((answer.status, answer.body), (403, b"RBAC: access denied"))
        wait_until(lambda: os.path.getsize(self.log) > 0, "a line in the log")
        with open(self.log, encoding="utf-8") as log:
            details, metadata = log.read().split(" ", 1)
        self.assertEqual(details, "rbac_access_denied_matched_policy[no_admin]")
        self.assertEqual(json.loads(metadata), {
            "enforced_effective_policy_id": "no admin", "enforced_engine_result": "denied", "dryshadow_engine_result": "denied"})
        self.assertEqual(self.status("/admin", user="root"), 200)
        self.assertEqual(self.status("/", "POST", body=b"x"), 403)
        self.assertEqual(self.status("/"), 200)
        self.weir.wait_stat_is("http.ingress.rbac.policy.no admin.denied", 1)
        self.weir.wait_stat_is("http.ingress.rbac.policy.no post.denied", 1)
        self.weir.wait_stat_is("http.ingress.rbac.dry.shadow_denied", 4)
        self.weir.wait_stat_is("http.ingress.rbac.allowed", 2)

    def test_paths_are_compared_as_they_are_routed(self) -> None:
        for path in ("/admin?x", "/x/../admin", "//admin", "/%61dmin", "/./admin/", "/admin;x"):
            with self.subTest(path):
                self.assertEqual(self.status(path), 403)
        self.assertEqual(self.status("/?/admin"), 200)

    def test_routes_override(self) -> None:
        self.assertEqual((self.status("/closed"), self.status("/open", "POST", body=b"x")), (403, 200))

    # field: http.rbac.v3.RBAC.track_per_rule_stats, RBACPerRoute.rbac
    def test_policies_of_a_route_are_counted_beside_those_of_the_filter(self) -> None:
        self.assertEqual([self.status(path) for path in ("/tracked", "/tracked?x", "/tracked?y")], [200, 403, 403])
        self.weir.wait_stat_is("http.ingress.rbac.policy.no query.denied", 2)


class ByNameTest(WeirTestCase):
    """In the chain without settings: routes have theirs, and for the others it says that it does nothing."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/closed"}, "echo", typed_per_filter_config=per_route(rbac={"rules": {"policies": {}}})),
            route({"prefix": "/"}, "echo")], http_filters=[{"name": "envoy.filters.http.rbac"}])],
            [cluster("echo", cls.echo.port)]))

    def test_routes_decide(self) -> None:
        self.assertEqual(fetch(self.port, "/closed").status, 403)
        self.assertEqual(fetch(self.port, "/").status, 200)
        self.assertIn("has no rules and no matcher: it lets every request through", self.weir.process.log())


if __name__ == "__main__":
    main()
