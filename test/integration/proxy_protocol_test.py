"""PROXY protocol headers from those who send them: haproxy, nginx, curl, and from peers that mean harm."""

import os
import shutil
import socket
import struct
import subprocess
from typing import Any

from harness import (Connection, Weir, WeirTestCase, address, bootstrap, direct, fetch, http_listener, main, wait_until)

TYPE = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
WHO = ("%DOWNSTREAM_REMOTE_ADDRESS%|%DOWNSTREAM_LOCAL_ADDRESS%|%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%|"
       "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%|%METADATA(LISTENER_FILTER:envoy.filters.listener.proxy_protocol:vpc)%|"
       "%FILTER_STATE(envoy.network.proxy_protocol.tlv:FIELD:vpc)%")


def listener(port: int, name: str, listener_fields: dict[str, Any] = {}, **config: Any) -> dict[str, Any]:
    made = http_listener(port, [direct({"prefix": "/"}, "x", response_headers_to_add=[
        {"header": {"key": "x-who", "value": WHO}}])], name=name, use_remote_address=True)
    made["listener_filters"] = [{"name": "proxy_protocol", "typed_config": {"@type": TYPE, **config}}]
    return {**made, **listener_fields}


def v2(command: int = 0x21, tlvs: bytes = b"") -> bytes:
    body = socket.inet_aton("10.1.2.3") + socket.inet_aton("10.9.8.7") + struct.pack("!HH", 4660, 80) + tlvs
    return SIGNATURE + struct.pack("!BBH", command, 0x11, len(body)) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


class ProxyProtocolTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        names = ("strict", "lenient", "second", "state", "slow")
        cls.ports = {name: cls.sandbox.free_port() for name in names}
        vpc = {"tlv_type": 0xea, "on_tlv_present": {"key": "vpc"}}
        cls.weir = Weir(cls.sandbox, bootstrap([
            listener(cls.ports["strict"], "strict", rules=[vpc], stat_prefix="strict"),
            listener(cls.ports["lenient"], "lenient", allow_requests_without_proxy_protocol=True, disallowed_versions=["V2"]),
            listener(cls.ports["second"], "second", disallowed_versions=["V1"], stat_prefix="second"),
            listener(cls.ports["state"], "state", rules=[vpc], tlv_location="FILTER_STATE"),
            listener(cls.ports["slow"], "slow", {"listener_filters_timeout": "0.2s"})]))

    def who(self, name: str, header: bytes, pieces: int = 1) -> list[str]:
        with Connection(self.ports[name]) as connection:
            size = -(-len(header) // pieces) or 1
            for at in range(0, len(header), size):
                connection.send(header[at:at + size])
                connection.wait_taken()
            return (connection.request().header("x-who") or "").split("|")

    def refused(self, name: str, data: bytes) -> None:
        with Connection(self.ports[name]) as connection:
            connection.send(data)
            self.assertTrue(connection.closed_within(5), data)

    # field: ProxyProtocol.rules, ProxyProtocol.Rule.tlv_type, ProxyProtocol.Rule.on_tlv_present
    # field: proxy_protocol.v3.ProxyProtocol.KeyValuePair.key, ProxyProtocol.stat_prefix
    def test_addresses_and_tlvs(self) -> None:
        own = "127.0.0.1:%d" % self.ports["strict"]
        told = ["10.1.2.3:4660", "10.9.8.7:80", "127.0.0.1", own]
        self.assertEqual(self.who("strict", b"PROXY TCP4 10.1.2.3 10.9.8.7 4660 80\r\n"), told + ["", ""])
        for pieces in (1, 7):
            self.assertEqual(self.who("strict", v2(tlvs=tlv(4, b"\0" * 50) + tlv(0xea, b"vpc-1")), pieces), told + ["vpc-1", ""])
        six = self.who("strict", b"PROXY TCP6 2001:db8::7 2001:db8::8 1 2\r\n")
        self.assertEqual(six[:2], ["[2001:db8::7]:1", "[2001:db8::8]:2"])
        for header in (b"PROXY UNKNOWN\r\n", v2(0x20)):
            local = self.who("strict", header)
            self.assertEqual((local[0].split(":")[0], local[1], local[3]), ("127.0.0.1", own, own))
        self.assertGreaterEqual(self.weir.stat("proxy_proto.strict.versions.v2.found"), 2)

    # field: ProxyProtocol.tlv_location
    def test_filter_state(self) -> None:
        self.assertEqual(self.who("state", v2(tlvs=tlv(0xea, b"vpc-2")))[4:], ["", "vpc-2"])

    # field: ProxyProtocol.allow_requests_without_proxy_protocol, ProxyProtocol.disallowed_versions
    def test_what_is_allowed(self) -> None:
        self.assertEqual(self.who("lenient", b"")[1], "127.0.0.1:%d" % self.ports["lenient"])
        self.assertEqual(self.who("lenient", b"PROXY TCP4 10.1.2.3 10.9.8.7 4660 80\r\n")[0], "10.1.2.3:4660")
        self.refused("second", b"PROXY TCP4 10.1.2.3 10.9.8.7 4660 80\r\n")
        self.weir.wait_stat_is("proxy_proto.second.versions.v1.disallowed", 1)
        self.assertEqual(self.who("second", v2())[0], "10.1.2.3:4660")

    def test_hostile_headers(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 10.1.2.3 10.9.8.7 4660 80 1\r\n", b"PROXY " + b"x" * 200,
                     v2(0x2f), v2(0x31), v2(tlvs=b"\xea\xff"), SIGNATURE + b"\x21\x21\0\x0c" + b"\0" * 12):
            self.refused("strict", data)
        self.assertGreaterEqual(self.weir.stat("proxy_proto.strict.not_found_disallowed"), 1)
        self.assertGreaterEqual(self.weir.stat("proxy_proto.strict.versions.v2.error"), 1)
        # Truncated: its end tells.
        with Connection(self.ports["strict"]) as connection:
            connection.send(v2()[:20])
            connection.half_close()
            self.assertTrue(connection.closed_within(5))

    # field: Listener.listener_filters_timeout
    def test_who_says_nothing_is_let_go(self) -> None:
        with Connection(self.ports["slow"]) as connection:
            connection.send(b"PROXY TC")
            self.assertTrue(connection.closed_within(10))
        self.weir.wait_stat_is("listener.127.0.0.1_%d.downstream_pre_cx_timeout" % self.ports["slow"], 1)
        self.weir.wait_stat_is("listener.127.0.0.1_%d.downstream_pre_cx_active" % self.ports["slow"], 0)

    def test_curl(self) -> None:
        out = subprocess.run(["curl", "-s", "-i", "--haproxy-protocol", "http://127.0.0.1:%d/" % self.ports["strict"]],
                             capture_output=True, text=True, timeout=20, check=True).stdout
        self.assertRegex(out, r"x-who: 127\.0\.0\.1:\d+\|127\.0\.0\.1:%d\|" % self.ports["strict"])

    def test_haproxy(self) -> None:
        ports = [self.sandbox.free_port() for _ in range(2)]
        # Its tables are as large as the limit of files allows unless it is told.
        text = "global\n maxconn 100\n nbthread 1\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
        for port, option in zip(ports, ("send-proxy", "send-proxy-v2")):
            text += "listen l%d\n bind 127.0.0.1:%d\n server weir 127.0.0.1:%d %s\n" % (port, port, self.ports["strict"], option)
        process = self.sandbox.start([shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") or "haproxy", "-db",
                                      "-f", self.sandbox.write("haproxy.cfg", text)], "haproxy")
        self.addCleanup(process.kill)
        for port in ports:
            self.through(port)

    def test_nginx(self) -> None:
        port = self.sandbox.free_port()
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        text = ("%sdaemon off; master_process off; pid %s; error_log stderr; events {}\n"
                "stream { server { listen 127.0.0.1:%d; proxy_pass 127.0.0.1:%d; proxy_protocol on; } }\n") % (
            "load_module %s; " % module if os.path.exists(module) else "", self.sandbox.path("stream.pid"), port,
            self.ports["strict"])
        process = self.sandbox.start([shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nginx", "-c",
                                      self.sandbox.write("stream.conf", text), "-e", "stderr"], "nginx-stream")
        self.addCleanup(process.kill)
        self.through(port)

    def through(self, port: int) -> None:
        """By a proxy: the client is who connected to it."""
        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, "the proxy listens", 60)
        with Connection(port) as connection:
            own = "127.0.0.1:%d" % connection.sock.getsockname()[1]
            who = (connection.request().header("x-who") or "").split("|")
            self.assertEqual(who[:2], [own, "127.0.0.1:%d" % port])


class DisabledTest(WeirTestCase):
    # field: ListenerFilter.filter_disabled
    def test_a_filter_that_is_not_for_this_port(self) -> None:
        ports = [self.sandbox.free_port() for _ in range(2)]
        made = listener(ports[0], "two", {"additional_addresses": [{"address": address(ports[1])}]})
        made["listener_filters"][0]["filter_disabled"] = {"destination_port_range": {"start": ports[1], "end": ports[1] + 1}}
        weir = Weir(self.sandbox, bootstrap([made]))
        self.assertEqual(fetch(ports[1]).text, "x")
        with Connection(ports[0]) as connection:
            connection.send_request()
            self.assertTrue(connection.closed_within(5))
        self.assertEqual(weir.stat("proxy_proto.not_found_disallowed"), 1)


class ContinueTest(WeirTestCase):
    # field: Listener.continue_on_listener_filters_timeout
    def test_what_was_found_out_so_far_is_enough(self) -> None:
        port = self.sandbox.free_port()
        inspector = "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
        made = http_listener(port, [direct({"prefix": "/"}, "x")], name="patient")
        made.update(listener_filters_timeout="0.1s", continue_on_listener_filters_timeout=True,
                    listener_filters=[{"name": "http_inspector", "typed_config": {"@type": inspector}}])
        weir = Weir(self.sandbox, bootstrap([made]))
        with Connection(port) as connection:
            connection.send(b"GET / HT")
            weir.wait_stat_is("listener.127.0.0.1_%d.downstream_pre_cx_timeout" % port, 1)
            self.assertEqual(weir.stat("http.ingress.downstream_cx_active"), 1)
            connection.send(b"TP/1.1\r\nhost: a\r\n\r\n")
            self.assertEqual(connection.read_response().text, "x")
        with Connection(port) as connection:  # also one that says nothing at all
            weir.wait_stat_is("listener.127.0.0.1_%d.downstream_pre_cx_timeout" % port, 2)
            self.assertEqual(connection.request().text, "x")


if __name__ == "__main__":
    main()
