"""The filters header_to_metadata and set_metadata: what logs and later filters find."""

import base64
import json
import os

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log, http_listener, main, route,
                     wait_lines, wait_until)

TYPE = "type.googleapis.com/envoy.extensions.filters.http."


class MetadataFiltersTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.log = cls.sandbox.path("metadata.log")
        copy = {"name": "copy", "typed_config": {"@type": TYPE + "header_to_metadata.v3.Config", "request_rules": [
            {"header": "x-user", "remove": True, "on_header_present": {"metadata_namespace": "ns", "key": "user"},
             "on_header_missing": {"metadata_namespace": "ns", "key": "user", "value": "nobody"}}],
            "response_rules": [{"header": "x-kind", "on_header_present": {"metadata_namespace": "ns", "key": "kind"}}]}}
        fixed = {"name": "fixed", "typed_config": {"@type": TYPE + "set_metadata.v3.Config", "metadata": [
            {"metadata_namespace": "ns", "value": {"tier": "gold", "user": "overwritten"}, "allow_overwrite": True},
            {"metadata_namespace": "ns", "value": {"tier": "never"}}]}}
        only_known = {"name": "rbac", "typed_config": {"@type": TYPE + "rbac.v3.RBAC", "rules": {"action": "DENY", "policies": {
            "nobody": {"permissions": [{"any": True}], "principals": [{"sourced_metadata": {"metadata_matcher": {
                "filter": "ns", "path": [{"key": "user"}], "value": {"string_match": {"exact": "nobody"}}}}}]}}}}}
        quiet = {"copy": {"@type": TYPE + "header_to_metadata.v3.Config", "request_rules": [
            {"header": ":path", "on_header_present": {"metadata_namespace": "ns", "key": "user"}}]}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/quiet"}, "echo", typed_per_filter_config=quiet), route({"prefix": "/"}, "echo")],
            http_filters=[copy, only_known, fixed],
            access_log=[file_access_log(cls.log, "%DYNAMIC_METADATA(ns)%\n")])], [cluster("echo", cls.echo.port)]))

    def test_what_is_left(self) -> None:
        def logged(count: int) -> list:
            def lines() -> list:
                with open(self.log, encoding="utf-8") as file:
                    return file.read().splitlines()
            wait_until(lambda: os.path.exists(self.log) and len(lines()) >= count, "%d lines" % count)
            return [json.loads(line) for line in lines()]

        account = self.echoed(fetch(self.port, "/", headers=[("x-user", "ann"), ("x-test-header", "x-kind=doc")]))
        self.assertNotIn("x-user", account["headers"])
        self.assertEqual(logged(1)[0], {"user": "overwritten", "tier": "gold", "kind": "doc"})
        self.assertEqual(fetch(self.port, "/").status, 403)
        self.assertEqual(logged(2)[1], {"user": "nobody"})
        self.assertEqual(fetch(self.port, "/quiet").status, 200)
        self.assertEqual(logged(3)[2], {"user": "overwritten", "tier": "gold"})
        self.weir.wait_stat_is("http.ingress.set_metadata.overwrite_denied", 2)

    def test_messages_in_headers(self) -> None:
        """Bytes of a google.protobuf.Value. What is none leaves nothing behind, in weir's own log neither."""
        port, log = self.sandbox.free_port(), self.sandbox.path("values.log")
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")], http_filters=[
            {"name": "copy", "typed_config": {"@type": TYPE + "header_to_metadata.v3.Config", "request_rules": [
                {"header": "x-value", "on_header_present": {"metadata_namespace": "ns", "key": "v", "type": "PROTOBUF_VALUE",
                                                            "encode": "BASE64"}}]}}],
            access_log=[file_access_log(log, "%DYNAMIC_METADATA(ns:v)%\n")])], [cluster("echo", self.echo.port)]), concurrency=1)
        hello, no_utf8, cut = b"\x1a\x05hello", b"\x1a\x01\xff", b"\x1a\x05he"
        for value in (hello, no_utf8, cut):
            self.assertEqual(fetch(port, headers=[("x-value", base64.b64encode(value).decode())]).status, 200)
        self.assertEqual(wait_lines(log, 3), ["hello", "-", "-"])
        self.assertNotIn("protobuf", weir.process.log())

    # field: set_metadata.v3.Metadata.typed_value
    def test_messages(self) -> None:
        """Nothing here reads them yet; but who may overwrite whom is counted."""
        message = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "x"}
        port, log = self.sandbox.free_port(), self.sandbox.path("typed.log")
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")], http_filters=[
            {"name": "typed", "typed_config": {"@type": TYPE + "set_metadata.v3.Config", "metadata": [
                {"metadata_namespace": "a", "typed_value": message},
                {"metadata_namespace": "a", "typed_value": message, "value": {"k": "beside"}},
                {"metadata_namespace": "a", "typed_value": message, "allow_overwrite": True},
                {"metadata_namespace": "b", "typed_value": message}]}}],
            access_log=[file_access_log(log, "%DYNAMIC_METADATA(a)% %DYNAMIC_METADATA(b)%\n")])], [cluster("echo", self.echo.port)]))
        self.assertEqual(fetch(port).status, 200)
        wait_until(lambda: os.path.exists(log) and open(log, encoding="ascii").read() == '{"k":"beside"} -\n', "the log line")
        self.assertEqual(weir.stat("http.ingress.set_metadata.overwrite_denied"), 1)


if __name__ == "__main__":
    main()
