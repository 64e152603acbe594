"""HTTP/2 from clients that weir did not write: curl, nghttp, h2load and Python's h2, in the clear and over TLS."""

import base64
import json
import socket
import subprocess
import time
from typing import Any

import h2.events
import h2.exceptions
import h2.settings

from harness import (EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, file_access_log,
                     http_listener, main, over_tls, route, wait_line, wait_until)
from harness.config import server_tls
from harness.http2_client import H2
from harness.process import wait_until_still
from harness.tls import Authority
from harness.upstreams import ServerConnection

LINE = "%REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% " \
       "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% %REQ(TE)% %REQ(CONNECTION)%\n"


def curl(port: int, path: str, *arguments: str, scheme: str = "http") -> str:
    done = subprocess.run(["curl", "-s", "-k", "-m", "20", "-w", "\n%{http_version} %{http_code}", *arguments,
                           "%s://127.0.0.1:%d%s" % (scheme, port, path)], text=True, capture_output=True, timeout=30)
    return done.stdout


class Http2Test(WeirTestCase):
    sent = 0  # of bodies of /big, by its server

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.big = ScriptedUpstream(cls.sandbox, cls.serve_big)
        cls.ca = Authority(cls.sandbox)
        own = cls.ca.issue("a.example")
        cls.log = cls.sandbox.path("access.log")
        cls.names = ("auto", "h2", "h1", "tls", "small", "idle", "max", "gentle", "ping", "old", "few", "tunnels", "age")
        cls.ports = {name: cls.sandbox.free_port() for name in cls.names}

        def listener(name: str, **fields: Any) -> dict[str, Any]:
            made = http_listener(cls.ports[name], [
                direct({"path": "/direct"}, "direct"), route({"path": "/dead"}, "dead"), route({"prefix": "/big"}, "big"),
                route({"prefix": "/flush"}, "big", {"flush_timeout": "0.4s"}),
                route({"prefix": "/patient"}, "big", {"flush_timeout": "0s", "idle_timeout": "0.4s"}),
                route({"prefix": "/lazy"}, "big", {"idle_timeout": "0.4s"}),
                route({"path": "/socket"}, "big"), route({"prefix": "/"}, "echo")],
                name=name, access_log=[file_access_log(cls.log, LINE)], **{"stat_prefix": name, **fields})
            return made

        tls = listener("tls")
        over_tls(tls, server_tls(own, common={"alpn_protocols": ["h2,http/1.1"]}))  # as many write it
        small = {"hpack_table_size": 0, "max_concurrent_streams": 3, "initial_stream_window_size": 65535,
                 "initial_connection_window_size": 70000, "max_outbound_frames": 100, "max_outbound_control_frames": 20,
                 "max_consecutive_inbound_frames_with_empty_payload": 3, "max_inbound_priority_frames_per_stream": 5,
                 "max_inbound_window_update_frames_per_data_frame_sent": 2,
                 "override_stream_error_on_invalid_http_message": True}
        cls.weir = Weir(cls.sandbox, bootstrap([
            listener("auto"), listener("h2", codec_type="HTTP2"), listener("h1", codec_type="HTTP1"), tls,
            listener("small", http2_protocol_options=small, max_request_headers_kb=2),
            listener("idle", common_http_protocol_options={"idle_timeout": "0.3s"}, drain_timeout="0.2s"),
            listener("max", common_http_protocol_options={"max_requests_per_connection": 2}, drain_timeout="0.2s"),
            listener("age", common_http_protocol_options={"max_connection_duration": "0.3s"}, drain_timeout="0.5s"),
            listener("gentle", stream_error_on_invalid_http_message=True, stream_flush_timeout="0.5s"),
            listener("old", http2_protocol_options={"stream_error_on_invalid_http_messaging": True}),
            listener("few", http2_protocol_options={"max_outbound_frames": 20}),
            listener("tunnels", http2_protocol_options={"allow_connect": True}, upgrade_configs=[{"upgrade_type": "websocket"}]),
            listener("ping", http2_protocol_options={"connection_keepalive": {"interval": "0.1s", "timeout": "1s",
                                                                             "interval_jitter": {"value": 100}}})],
            [cluster("echo", cls.echo.port), cluster("big", cls.big.port), cluster("dead", cls.sandbox.free_port())]), concurrency=1)

    @staticmethod
    def serve_big(connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            if request.target == "/socket":
                key = request.header("sec-websocket-key") or ""
                assert len(base64.b64decode(key)) == 16 and request.header("upgrade") == "websocket", request.headers
                connection.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                                b"sec-websocket-accept: x\r\n\r\n")
                data = connection.reader.buffer
                while True:
                    if data:
                        connection.send(data)
                    data = connection.sock.recv(4096)
                    if not data:
                        return
            size = int(request.target.rpartition("/")[2])
            if request.target.startswith("/big-hint"):
                connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n")
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            piece = b"x" * 65536
            while size > 0:
                connection.send(piece[:min(size, len(piece))])
                Http2Test.sent += min(size, len(piece))
                size -= len(piece)

    def logged(self, path: str) -> list[str]:
        return wait_line(self.log, path + " ").split()

    # field: HttpConnectionManager.codec_type
    def test_the_protocol_is_found_out(self) -> None:
        before = self.weir.stats()
        for port, arguments, scheme, version in (
                ("auto", ("--http2-prior-knowledge",), "http", "2"), ("auto", ("--http1.1",), "http", "1.1"),
                ("auto", ("--http2",), "http", "1.1"),  # an offer to upgrade is declined
                ("h2", ("--http2-prior-knowledge",), "http", "2"), ("h1", ("--http1.1",), "http", "1.1"),
                ("tls", ("--http2",), "https", "2"), ("tls", ("--http1.1",), "https", "1.1")):
            with self.subTest(port=port, arguments=arguments):
                out = curl(self.ports[port], "/direct", *arguments, scheme=scheme)
                self.assertEqual(out, "direct\n%s 200" % version)
        self.assertNotIn("direct", curl(self.ports["h1"], "/direct", "--http2-prior-knowledge"))
        self.assertNotIn("direct", curl(self.ports["h2"], "/direct", "--http1.1"))
        for name, more in (("http.tls.downstream_cx_http2_total", 1), ("http.tls.downstream_cx_http1_total", 1),
                           ("http.tls.downstream_rq_http2_total", 1), ("http.auto.downstream_rq_http1_total", 2),
                           ("http.auto.downstream_cx_http1_total", 2), ("http.auto.downstream_cx_http2_total", 1)):
            self.weir.wait_stat_is(name, before[name] + more)
        self.weir.wait_stat_is("http.tls.downstream_cx_http2_active", 0)

    def test_requests_reach_a_server_of_http1(self) -> None:
        with H2(self.ports["auto"]) as client:
            one = client.request("/a?b=c", headers=[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("x-mine", "y")])
            two = client.request("/post", "POST", b"some text")
            client.until(one)
            client.until(two)
            self.assertEqual(client.status(one), "200")
            first, second = json.loads(client.body(one)), json.loads(client.body(two))
            self.assertEqual((first["path"], first["method"]), ("/a?b=c", "GET"))
            fields = {name.lower(): value for name, value in first["headers"]}
            self.assertEqual(fields["host"], "a.example")
            self.assertEqual(fields["cookie"], "a=1; b=2")
            self.assertEqual((fields["te"], fields["connection"]), ("trailers", "te"))
            self.assertEqual((second["method"], second["length"]), ("POST", 9))
            self.assertEqual(client.headers(one)["server"], "weir")
        # What the connection to the server says is said neither to filters nor to logs: no client sent it.
        self.assertEqual(self.logged("/a?b=c")[9:], ["trailers", "-"])
        line = self.logged("/post")
        self.assertEqual(line[:6], ["/post", "HTTP/2", "200", "-", "via_upstream", "9"])
        self.assertGreater(int(line[7]), 9 + 9)
        self.assertGreater(int(line[8]), int(line[6]))

    def test_heads_before_the_answer(self) -> None:
        interim = h2.events.InformationalResponseReceived
        with H2(self.ports["auto"]) as client:
            stream = client.request("/big-hint/3")
            client.until(stream)
            (hint,) = client.of(stream, interim)
            self.assertEqual(dict(hint.headers), {":status": "103", "link": "</a.css>"})
            self.assertEqual((client.status(stream), client.body(stream)), ("200", b"xxx"))
            # Whoever waits for leave to send its body gets it.
            stream = client.request("/waits", "POST", end=False, headers=[("expect", "100-continue"), ("content-length", "4")])
            leave = client.until(stream, interim)
            self.assertEqual(dict(leave.headers)[":status"], "100")
            client.h2.send_data(stream, b"body", end_stream=True)
            client.flush()
            client.until(stream)
            self.assertEqual((client.status(stream), json.loads(client.body(stream))["length"]), ("200", 4))

    def test_nghttp_and_h2load(self) -> None:
        done = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "20", "http://127.0.0.1:%d/x" % self.ports["auto"]],
                              text=True, capture_output=True, timeout=60)
        self.assertIn("2000 succeeded, 0 failed, 0 errored", done.stdout)
        done = subprocess.run(["h2load", "-n", "500", "-c", "2", "-m", "10", "https://127.0.0.1:%d/big/100000" % self.ports["tls"]],
                              text=True, capture_output=True, timeout=60)
        self.assertIn("500 succeeded, 0 failed, 0 errored", done.stdout)
        done = subprocess.run(["nghttp", "-v", "http://127.0.0.1:%d/direct" % self.ports["auto"]], text=True,
                              capture_output=True, timeout=30)
        self.assertIn(":status: 200", done.stdout)

    def test_grpc_clients_get_answers_that_they_understand(self) -> None:
        with H2(self.ports["auto"]) as client:
            stream = client.request("/dead", "POST", b"\0\0\0\0\0", headers=[("content-type", "application/grpc"), ("te", "trailers")])
            client.until(stream)
            head = client.of(stream, h2.events.ResponseReceived)[0]
            self.assertIsNotNone(head.stream_ended)  # trailers alone
            self.assertEqual({name: value for name, value in head.headers if name in (":status", "grpc-status", "content-type")},
                             {":status": "200", "grpc-status": "14", "content-type": "application/grpc"})

    def test_trailers_of_requests_pass(self) -> None:
        with H2(self.ports["auto"]) as client:
            stream = client.request("/trailers", "POST", b"body", end=False)
            client.h2.send_headers(stream, [("x-sum", "42")], end_stream=True)
            client.flush()
            client.until(stream)
            self.assertEqual(client.status(stream), "200")
            self.assertIn(b"x-sum", client.body(stream).lower())

    def test_a_slow_reader_stops_its_own_stream_alone(self) -> None:
        with H2(self.ports["auto"]) as client:
            before = Http2Test.sent
            slow = client.request("/big/40000000")
            wait_until(lambda: (client.pump(0.05), len(client.body(slow)) >= 65535)[1], "all that the window allows")
            self.assertEqual(len(client.body(slow)), 65535)
            client.h2.increment_flow_control_window(20 << 20)  # of the connection
            client.flush()
            quick = client.request("/direct")
            client.until(quick, give_back=False)
            self.assertEqual(client.body(quick), b"direct")
            self.assertEqual(len(client.body(slow)), 65535)
            self.weir.wait_stat_is("http.auto.downstream_rq_active", 1)
            # What waits in weir is bounded: the server is stopped.
            wait_until_still(lambda: Http2Test.sent)
            self.assertLess(Http2Test.sent - before, 16 << 20)  # what buffers of sockets take
            client.h2.increment_flow_control_window(30 << 20)
            client.h2.increment_flow_control_window(40 << 20, slow)
            client.flush()
            client.until(slow, give_back=False)
            self.assertEqual(len(client.body(slow)), 40000000)

    def test_a_reset_is_logged(self) -> None:
        with H2(self.ports["auto"]) as client:
            stream = client.request("/big/30000000")
            client.until(stream, h2.events.ResponseReceived)
            client.h2.reset_stream(stream, 8)
            client.flush()
            self.assertEqual(self.logged("/big/30000000")[1:5], ["HTTP/2", "200", "DR", "http2.remote_reset"])
            again = client.request("/direct")
            client.until(again)

    # field: Http2ProtocolOptions@downstream.hpack_table_size, Http2ProtocolOptions@downstream.max_concurrent_streams
    # field: Http2ProtocolOptions@downstream.initial_stream_window_size, HttpConnectionManager.http2_protocol_options
    # field: Http2ProtocolOptions@downstream.initial_connection_window_size
    def test_settings_are_those_that_are_configured(self) -> None:
        codes = h2.settings.SettingCodes
        with H2(self.ports["small"]) as client:
            client.pump()
            peer = client.h2.remote_settings
            self.assertEqual(peer[codes.HEADER_TABLE_SIZE], 0)
            self.assertEqual(peer[codes.MAX_CONCURRENT_STREAMS], 3)
            self.assertEqual(peer[codes.INITIAL_WINDOW_SIZE], 65535)
            self.assertEqual(peer[codes.MAX_HEADER_LIST_SIZE], 2048)
            self.assertEqual(client.h2.outbound_flow_control_window, 70000)
        with H2(self.ports["auto"]) as client:
            client.pump()
            peer = client.h2.remote_settings
            self.assertEqual(peer[codes.HEADER_TABLE_SIZE], 4096)
            self.assertEqual(peer[codes.MAX_CONCURRENT_STREAMS], 1024)
            self.assertEqual(peer[codes.INITIAL_WINDOW_SIZE], 16 << 20)
            self.assertEqual(client.h2.outbound_flow_control_window, 24 << 20)

    def test_a_head_that_is_too_large_is_answered(self) -> None:
        before = self.weir.stat("http.small.downstream_cx_protocol_error")
        with H2(self.ports["small"]) as client:
            stream = client.request("/large", headers=[("x-large", "y" * 3000)])
            client.until(stream)
            self.assertEqual(client.status(stream), "431")
            stream = client.request("/direct")
            client.until(stream)
            self.assertEqual(client.status(stream), "200")
        self.weir.wait_stat_is("http.small.downstream_cx_protocol_error", before + 1)
        self.assertEqual(self.logged("/large")[2:5], ["431", "DPE", "http2.request_headers_too_large"])

    # field: HttpProtocolOptions@downstream.idle_timeout
    def test_an_idle_connection_ends_in_order(self) -> None:
        with H2(self.ports["idle"]) as client:
            client.until(client.request("/direct"))
            goaway = client.until(0, h2.events.ConnectionTerminated)
            self.assertEqual(goaway.error_code, 0)
            client.pump(2)
            self.assertEqual(client.sock.recv(1), b"")
        self.assertEqual(self.weir.stat("http.idle.downstream_cx_idle_timeout"), 1)

    # field: HttpProtocolOptions@downstream.max_requests_per_connection
    def test_a_connection_ends_after_so_many_requests(self) -> None:
        with H2(self.ports["max"], outlives_goaway=True) as client:
            client.until(client.request("/direct"))
            self.assertEqual(client.goaways, [])
            client.until(client.request("/direct"))
            client.pump(2)
            self.assertEqual(client.goaways, [((1 << 31) - 1, 0), (3, 0)])
            self.assertEqual(client.sock.recv(1), b"")
        self.assertEqual(self.weir.stat("http.max.downstream_cx_max_requests_reached"), 1)

    # field: HttpProtocolOptions@downstream.max_connection_duration
    def test_an_old_connection_ends_in_two_steps(self) -> None:
        """What it has begun is answered, however long that takes, and so is what was on its way at the first step."""
        self.echo.gate.clear()
        with H2(self.ports["age"], outlives_goaway=True) as client:
            held = client.request("/age", headers=[("x-test-gate", "1")])
            wait_until(lambda: client.pump(0.02) is None or client.goaways, "the first step")
            self.assertEqual(client.goaways, [((1 << 31) - 1, 0)])
            late = client.request("/direct")
            client.until(late)
            self.assertEqual(client.body(late), b"direct")
            wait_until(lambda: client.pump(0.02) is None or len(client.goaways) == 2, "the second one")
            self.assertEqual(client.goaways[1], (late, 0))
            self.assertEqual(self.weir.stat("http.age.downstream_cx_active"), 1)
            self.echo.gate.set()
            client.until(held)
            self.assertEqual(client.status(held), "200")
            client.pump(2)
            self.assertEqual(client.sock.recv(1), b"")
        self.assertEqual(self.weir.stat("http.age.downstream_cx_max_duration_reached"), 1)

    def test_a_window_that_shrinks(self) -> None:
        """Of streams that have used up more than is left (RFC 9113 6.9.2): they wait until they are above zero again."""
        with H2(self.ports["auto"]) as client:
            stream = client.request("/big/200000")
            wait_until(lambda: (client.pump(0.05), len(client.body(stream)) >= 65535)[1], "all that the window allows")
            client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000})
            client.flush()
            client.until(0, h2.events.SettingsAcknowledged)
            client.h2.increment_flow_control_window(1 << 20)
            client.h2.increment_flow_control_window(64534, stream)  # to -1
            client.flush()
            client.pump(0.3)
            self.assertEqual(len(client.body(stream)), 65535)
            client.h2.increment_flow_control_window(1001, stream)
            client.flush()
            client.pump(0.3)
            self.assertEqual(len(client.body(stream)), 66535)
            # A new stream has the new window; and what grows again lets the old one go on.
            other = client.request("/big/5000")
            wait_until(lambda: (client.pump(0.05), len(client.body(other)) >= 1000)[1], "the new window")
            self.assertEqual(len(client.body(other)), 1000)
            client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
            client.flush()
            client.until(other, give_back=False)
            client.until(stream, give_back=False)
            self.assertEqual((len(client.body(other)), len(client.body(stream))), (5000, 200000))

    # field: HttpConnectionManager.stream_error_on_invalid_http_message
    # field: Http2ProtocolOptions@downstream.override_stream_error_on_invalid_http_message
    # field: Http2ProtocolOptions@downstream.stream_error_on_invalid_http_messaging
    def test_what_a_malformed_request_ends(self) -> None:
        for name, gentle in (("gentle", True), ("small", True), ("old", True), ("auto", False)):
            counter = "http.%s.downstream_cx_protocol_error" % name
            before = self.weir.stat(counter)
            with self.subTest(listener=name), H2(self.ports[name]) as client:
                client.h2.config.validate_outbound_headers = False
                client.h2.config.normalize_outbound_headers = False
                stream = client.request("/bad", headers=[("connection", "close")])
                if gentle:
                    self.assertEqual(client.until(stream, h2.events.StreamReset).error_code, 1)
                    stream = client.request("/direct")
                    client.until(stream)
                else:
                    self.assertEqual(client.until(0, h2.events.ConnectionTerminated).error_code, 1)
                self.weir.wait_stat_is(counter, before + 1)

    # field: HttpConnectionManager.stream_flush_timeout
    def test_a_response_that_nobody_takes_is_given_up(self) -> None:
        before = self.weir.stat("http2.tx_flush_timeout")
        with H2(self.ports["gentle"]) as client:
            stream = client.request("/big/100000")
            self.assertEqual(client.until(stream, h2.events.StreamReset, give_back=False).error_code, 8)
        self.assertEqual(self.weir.stat("http2.tx_flush_timeout"), before + 1)

    # field: RouteAction.flush_timeout
    def test_a_route_says_how_long_a_response_may_wait(self) -> None:
        before = self.weir.stat("http2.tx_flush_timeout")
        # The route's own time; that of the connection manager; the route's time for idle streams, for want of both.
        with H2(self.ports["auto"]) as client, H2(self.ports["gentle"]) as gentle:
            for path, which in (("/flush", client), ("/lazy", client), ("/flush", gentle)):
                with self.subTest(path=path):
                    stream = which.request(path + "/100000")
                    self.assertEqual(which.until(stream, h2.events.StreamReset, give_back=False).error_code, 8)
            # None at all: the rest of the response is there whenever there is room.
            stream = gentle.request("/patient/100000")
            gentle.until(stream, h2.events.ResponseReceived, give_back=False)
            gentle.pump(1)
            gentle.h2.increment_flow_control_window(1 << 20)
            gentle.h2.increment_flow_control_window(1 << 20, stream)
            gentle.flush()
            gentle.until(stream)
        self.assertEqual(self.weir.stat("http2.tx_flush_timeout"), before + 3)

    # field: KeepaliveSettings@downstream.interval, KeepaliveSettings@downstream.timeout
    # field: KeepaliveSettings@downstream.interval_jitter, Http2ProtocolOptions@downstream.connection_keepalive
    def test_clients_that_do_not_answer_pings_lose_their_connection(self) -> None:
        with H2(self.ports["ping"]) as client:
            start = time.monotonic()
            while len([e for e in client.events if isinstance(e, h2.events.PingReceived)]) < 20:
                self.assertLess(time.monotonic() - start, 60)
                client.pump(0.05)
            # Every 0.1 to 0.2 s; without jitter it would be 2 s.
            self.assertGreater(time.monotonic() - start, 2.4)
            self.weir.wait_stat_is("http2.keepalive_timeout", 1)

    # field: Http2ProtocolOptions@downstream.allow_connect
    def test_a_websocket_to_a_server_of_http1(self) -> None:
        with H2(self.ports["tunnels"]) as client:
            client.pump()
            self.assertEqual(client.h2.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL], 1)
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                            (":path", "/socket"), (":authority", "a.example"), ("sec-websocket-version", "13")])
            client.h2.send_data(stream, b"early")
            client.flush()
            client.until(stream, h2.events.ResponseReceived)
            head = client.headers(stream)
            self.assertEqual(head[":status"], "200")
            self.assertNotIn("upgrade", head)
            self.assertNotIn("sec-websocket-accept", head)
            client.until(stream, h2.events.DataReceived)
            client.h2.send_data(stream, b" and late", end_stream=True)
            client.flush()
            client.until(stream)
            self.assertEqual(client.body(stream), b"early and late")
            # 200 of a server of HTTP/1 is no tunnel; to this client it would say so.
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                            (":path", "/no-socket"), (":authority", "a.example"), ("sec-websocket-version", "13")])
            client.flush()
            client.until(stream)
            self.assertEqual(client.status(stream), "502")
        with H2(self.ports["auto"]) as client:
            client.pump()
            self.assertEqual(client.h2.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL], 0)


if __name__ == "__main__":
    main()
