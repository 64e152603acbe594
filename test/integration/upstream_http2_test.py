"""HTTP/2 towards servers: nginx, nghttpd, and Python's h2 where a server has to be watched."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from typing import Any

import h2.events
import h2.settings
import hyperframe.frame

from harness import (EchoUpstream, Nginx, Weir, bootstrap, cluster, fetch, file_access_log, http_listener, main, route,
                     tcp_listener, wait_lines, wait_until, wait_until_still)
from harness.client import Connection
from harness.clusters import ClustersTestCase, http2
from harness.config import client_tls, http_options, trusts
from harness.http2 import Http2Peer, Http2Upstream, Request, echo
from harness.http2_client import H2
from harness.tls import Authority, TlsEchoUpstream, server_context


class UpstreamHttp2Test(ClustersTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        server = cls.ca.issue("server.internal", "DNS:server.internal", "IP:127.0.0.1")
        cls.nginx = Nginx(cls.sandbox, "cleartext", http2=True)
        cls.nginx_tls = Nginx(cls.sandbox, "tls", tls=server, http2=True)
        cls.nginx_leaves = Nginx(cls.sandbox, "leaves", more="keepalive_requests 100;", http2=True)
        cls.nginx_h1 = Nginx(cls.sandbox, "h1", tls=server)
        cls.big = os.urandom(1 << 20)
        for one in ("cleartext", "tls"):
            with open(os.path.join(cls.sandbox.path("nginx-%s" % one), "files", "big"), "wb") as file:
                file.write(cls.big)
        cls.nghttpd_port = cls.sandbox.free_port()
        os.makedirs(cls.sandbox.path("docs"))
        with open(cls.sandbox.path("docs/page"), "wb") as file:
            file.write(cls.big)
        program = shutil.which("nghttpd", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nghttpd"
        cls.sandbox.start([program, "--no-tls", "-a", "127.0.0.1", "-d", cls.sandbox.path("docs"), str(cls.nghttpd_port)], "nghttpd")
        cls.echo = Http2Upstream(cls.sandbox)
        cls.one_stream = Http2Upstream(cls.sandbox, settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        cls.limited = Http2Upstream(cls.sandbox)
        cls.tunnels = Http2Upstream(cls.sandbox, settings={h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        cls.connects = Http2Upstream(cls.sandbox)
        cls.connects.validates = False
        cls.silent = Http2Upstream(cls.sandbox)
        cls.answers = Http2Upstream(cls.sandbox)
        cls.echo_h1 = EchoUpstream(cls.sandbox)
        cls.echo_h1_tls = TlsEchoUpstream(cls.sandbox, "tls", server_context(server, alpn=["http/1.1"]))
        cls.tcp_port = cls.sandbox.free_port()
        trust = trusts(cls.ca)
        both = {"http_protocol_options": {}, "http2_protocol_options": {}}
        whole_urls = {"http_protocol_options": {"send_fully_qualified_url": True}, "http2_protocol_options": {}}
        cls.serve([
            cluster("nginx", cls.nginx.port, **http2()),
            cluster("nginx_tls", cls.nginx_tls.port, transport_socket=client_tls(common=trust), **http2()),
            cluster("auto", cls.nginx_tls.port, transport_socket=client_tls(common=trust), **http_options(auto_config=both)),
            cluster("auto_h1", cls.nginx_h1.port, transport_socket=client_tls(common=trust), **http_options(auto_config=both)),
            cluster("auto_options", cls.echo_h1_tls.port, transport_socket=client_tls(common=trust),
                    **http_options(auto_config=whole_urls)),
            cluster("downstream_options", cls.echo_h1.port, **http_options(use_downstream_protocol_config=whole_urls)),
            cluster("leaves", cls.nginx_leaves.port, **http2()),
            cluster("nghttpd", cls.nghttpd_port, **http2()),
            cluster("echo", cls.echo.port, **http2()),
            cluster("deprecated", cls.echo.port, http2_protocol_options={}),
            cluster("downstream", cls.nginx_tls.port, transport_socket=client_tls(common=trust),
                    **http_options(use_downstream_protocol_config=both)),
            cluster("selection", cls.nginx_tls.port, transport_socket=client_tls(common=trust), http2_protocol_options={},
                    protocol_selection="USE_DOWNSTREAM_PROTOCOL"),
            cluster("one_stream", cls.one_stream.port, **http2()),
            cluster("ours", cls.limited.port, **http2(max_concurrent_streams=2)),
            cluster("max_requests", cls.limited.port, **http2({"max_requests_per_connection": 2})),
            cluster("max_age", cls.limited.port, **http2({"max_connection_duration": "0.3s"})),
            cluster("idle", cls.limited.port, **http2({"idle_timeout": "0.2s"})),
            cluster("windows", cls.limited.port, **http2(initial_stream_window_size=70000, initial_connection_window_size=140000,
                                                         hpack_table_size=0)),
            cluster("pings", cls.silent.port, **http2(connection_keepalive={
                "interval": "0.1s", "timeout": "1s", "interval_jitter": {"value": 0}, "connection_idle_interval": "0.05s"})),
            cluster("jitter", cls.answers.port, **http2(connection_keepalive={
                "interval": "0.1s", "timeout": "5s", "interval_jitter": {"value": 100}})),
            cluster("idle_ping", cls.answers.port, **http2(connection_keepalive={
                "timeout": "5s", "connection_idle_interval": "0.5s"})),
            cluster("tunnels", cls.tunnels.port, **http2()),
            cluster("connects", cls.connects.port, **http2()),
        ], tcp_listener(cls.tcp_port, "connects", tunneling_config={"hostname": "target.example:443"}),
            http2_protocol_options={"allow_connect": True}, upgrade_configs=[{"upgrade_type": "websocket"}])

    # field: ExplicitHttpConfig.http2_protocol_options
    def test_real_servers(self) -> None:
        for name, text in (("nginx", b"cleartext"), ("nginx_tls", b"tls")):
            for _ in range(3):
                answer = self.get(name, "who")
                self.assertEqual((answer.status, answer.body), (200, text + b"\n"))
            self.assertEqual(self.get(name, "big").body, self.big)
            self.assertEqual(self.stat(name, "upstream_cx_http2_total"), 1)
            self.assertEqual(self.stat(name, "upstream_cx_http1_total"), 0)
        self.assertEqual(self.get("nghttpd", "page").body, self.big)
        self.assertEqual(self.line("/nginx/who")[4], "HTTP/2")

    def h2load(self, name: str, path: str, count: int, at_a_time: int) -> None:
        done = subprocess.run(["h2load", "-n", str(count), "-c", "3", "-m", str(at_a_time),
                               "http://127.0.0.1:%d/%s/%s" % (self.port, name, path)], text=True, capture_output=True, timeout=120)
        self.assertIn("%d 2xx, 0 3xx, 0 4xx, 0 5xx" % count, done.stdout, name)
        self.weir.wait_stat_is("cluster.%s.http2.streams_active" % name, 0)

    def test_h2load(self) -> None:
        """Many requests at a time on both sides; the servers are those of test_real_servers."""
        for name, path in (("nginx", "who"), ("nginx_tls", "who"), ("nginx", "big"), ("nghttpd", "page")):
            self.h2load(name, path, 60 if path in ("big", "page") else 3000, 20)
            self.assertLessEqual(self.stat(name, "upstream_cx_total"), 2)

    def test_a_server_that_leaves_under_load(self) -> None:
        """nginx says GOAWAY after a hundred requests, and does not look at those that were on their way."""
        self.h2load("leaves", "who", 3050, 8)
        self.assertGreaterEqual(self.stat("leaves", "upstream_cx_close_notify"), 25)
        self.weir.wait_stat_is("cluster.leaves.upstream_cx_active", 1)

    # field: upstreams.http.v3.HttpProtocolOptions.auto_config
    # field: AutoHttpConfig.http2_protocol_options
    def test_auto(self) -> None:
        for name, protocol in (("auto", "HTTP/2"), ("auto_h1", "HTTP/1.1")):
            for _ in range(2):
                self.assertEqual(self.get(name, "who").status, 200)
            self.assertEqual(self.line("/%s/who" % name)[4], protocol)
        self.assertEqual(self.stat("auto", "upstream_cx_http2_total"), 1)
        self.assertEqual(self.stat("auto_h1", "upstream_cx_http1_total"), 1)

    # field: upstreams.http.v3.HttpProtocolOptions.use_downstream_protocol_config, Cluster.protocol_selection
    # field: UseDownstreamHttpConfig.http2_protocol_options
    def test_as_the_client_speaks(self) -> None:
        for name in ("downstream", "selection"):
            self.assertEqual(self.get(name, "who").body, b"tls\n")
            self.assertEqual(self.line("/%s/who" % name)[4], "HTTP/1.1")
            with H2(self.port) as client:
                stream = client.request("/%s/two" % name)
                client.until(stream)
                self.assertEqual(client.body(stream), b"tls /two\n")
            self.assertEqual(self.line("/%s/two" % name)[4], "HTTP/2")
            self.assertEqual((self.stat(name, "upstream_cx_http1_total"), self.stat(name, "upstream_cx_http2_total")), (1, 1))

    # field: AutoHttpConfig.http_protocol_options, UseDownstreamHttpConfig.http_protocol_options
    def test_options_of_http1_where_both_are_spoken(self) -> None:
        for name in ("auto_options", "downstream_options"):
            seen = json.loads(self.get(name, host="a.example").body)
            self.assertRegex(seen["path"], "^https?://a.example/x$", name)

    # field: Cluster.http2_protocol_options
    def test_deprecated(self) -> None:
        self.assertEqual(self.get("deprecated").body, b"GET /x")
        self.assertEqual(self.stat("deprecated", "upstream_cx_http2_total"), 1)

    def test_translation(self) -> None:
        with Connection(self.port) as client:
            client.send(b"POST /echo/t?q=1 HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\nte: trailers\r\n"
                        b"connection: x-drop\r\nx-drop: 1\r\n\r\n4\r\nbody\r\n0\r\nx-sent: yes\r\n\r\n")
            answer = client.read_response("POST")
        self.assertEqual(answer.body, b"POST /t?q=1body")
        self.assertEqual(answer.header("x-authority"), "a.example")
        self.assertEqual(answer.trailers, [("x-trailer", "yes")])
        seen = next(one for one in self.echo.seen if one.path == "/t?q=1")
        for absent in ("host", "connection", "transfer-encoding", "x-drop"):
            self.assertIsNone(seen.header(absent), absent)
        self.assertEqual(seen.header("te"), "trailers")
        self.assertEqual(seen.trailers, [("x-sent", "yes")])

    def test_sizes_of_heads_with_and_without_compression(self) -> None:
        log, port = self.sandbox.path("sizes.log"), self.sandbox.free_port()
        names = ["%s_%sHEADER_BYTES_%s" % (side, form, way) for side in ("DOWNSTREAM", "UPSTREAM")
                 for way in ("RECEIVED", "SENT") for form in ("DECOMPRESSED_", "")]
        same = {"response_headers_to_remove": ["x-envoy-upstream-service-time"]}  # a number of some digits
        Weir(self.sandbox, bootstrap([http_listener(port, [{**route({"prefix": "/"}, "echo"), **same}], access_log=[
            file_access_log(log, " ".join("%%%s%%" % name for name in names) + "\n")])],
            [cluster("echo", self.echo.port, **http2())]))
        fields = [("x-long", "y" * 300)]
        with H2(port) as client:
            for _ in range(2):
                stream = client.request("/sizes", headers=fields)
                client.until(stream)
                answer = client.headers(stream)
        first, second = [[int(one) for one in line.split()] for line in wait_lines(log, 2)]

        def size(fields: list[tuple[str, str]]) -> int:
            return sum(len(name) + len(value) for name, value in fields)

        asked = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/sizes"), *fields]
        answered = [(":status", "200"), ("x-authority", "a.example"), ("x-scheme", "http")]
        plain = [size(asked), size(list(answer.items())), size(answered), size(self.echo.seen[-1].headers)]
        self.assertEqual((first[::2], second[::2]), (plain, plain))
        for before, after in zip(first[1::2], second[1::2]):
            self.assertLess(after, before)  # most of it is in the table
        self.assertLess(max(second[1::2]), 300)

    def test_heads_before_the_answer(self) -> None:
        def hint(peer: Http2Peer, request: Request) -> None:
            with peer.lock:
                peer.h2.send_headers(request.id, [(":status", "103"), ("link", "</a.css>")])
                peer.flush()
            peer.respond(request, 204 if request.header(":method") == "GET" else 200)

        self.echo.on_request = hint
        self.addCleanup(setattr, self.echo, "on_request", echo)
        with Connection(self.port) as client:
            for method, status in (("GET", 204), ("HEAD", 200)):
                client.send(b"%s /echo/hint HTTP/1.1\r\nhost: a\r\n\r\n" % method.encode())
                head = client.reader.head()
                self.assertEqual((head.status, head.header("link")), (103, "</a.css>"))
                self.assertEqual(client.read_response(method).status, status)

    def test_what_came_before_a_reset(self) -> None:
        """All in one piece: the answer's beginning reaches the client, and is cut off there."""
        def begin_and_reset(peer: Http2Peer, request: Request) -> None:
            with peer.lock:
                peer.h2.send_headers(request.id, [(":status", "200"), ("x-a", "b")])
                peer.h2.send_data(request.id, b"half")
                peer.h2.reset_stream(request.id, 2)
                peer.flush()

        self.echo.on_request = begin_and_reset
        self.addCleanup(setattr, self.echo, "on_request", echo)
        with Connection(self.port) as client:
            client.send(b"GET /echo/cut-h1 HTTP/1.1\r\nhost: a\r\n\r\n")
            self.assertEqual(client.reader.head().header("x-a"), "b")
            self.assertEqual(client.reader.until_closed(), b"4\r\nhalf\r\n")
        with H2(self.port) as client:
            stream = client.request("/echo/cut-h2")
            self.assertEqual(client.until(stream, h2.events.StreamReset).error_code, 2)
            self.assertEqual((client.status(stream), client.body(stream)), ("200", b"half"))
        for path in ("/echo/cut-h1", "/echo/cut-h2"):
            self.assertEqual(self.line(path)[1], "200", path)

    def fetch_many(self, name: str, count: int, path: str = "x") -> list[Any]:
        answers: list[Any] = [None] * count

        def one(i: int) -> None:
            answers[i] = self.get(name, path)

        threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return answers

    def test_many_share_a_connection(self) -> None:
        before = self.echo.connections
        self.assertEqual({one.status for one in self.fetch_many("echo", 30)}, {200})
        self.assertLessEqual(self.echo.connections - before, 1)

    @staticmethod
    def answers_together(count: int) -> Any:
        """Requests are answered when so many have come."""
        waiting: list[tuple[Http2Peer, Request]] = []
        lock = threading.Lock()

        def wait(peer: Http2Peer, request: Request) -> None:
            with lock:
                waiting.append((peer, request))
                ready = waiting[:] if len(waiting) == count else []
            for one in ready:
                threading.Thread(target=one[0].respond, args=(one[1],), kwargs={"body": b"ok"}).start()

        return wait

    def test_servers_limit(self) -> None:
        self.one_stream.on_request = echo
        self.assertEqual(self.get("one_stream").status, 200)
        self.one_stream.on_request = self.answers_together(4)
        self.assertEqual({one.status for one in self.fetch_many("one_stream", 4)}, {200})
        self.assertEqual(self.one_stream.connections, 4)
        self.assertEqual(self.stat("one_stream", "http2.stream_refused_errors"), 0)

    def test_a_server_that_takes_none_for_now(self) -> None:
        """Another connection would hear the same: requests wait for this one."""
        server, port = Http2Upstream(self.sandbox), self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "full")])],
                                            [cluster("full", server.port, **http2())]), concurrency=1)
        self.assertEqual(fetch(port).status, 200)

        def allow(streams: int) -> None:
            frame = hyperframe.frame.SettingsFrame(0, settings={hyperframe.frame.SettingsFrame.MAX_CONCURRENT_STREAMS: streams})
            server.peers[0].send_raw(frame.serialize())

        allow(0)
        wait_until(lambda: self.waits(port), "weir has heard of it")
        answers: list[int] = []
        clients = [threading.Thread(target=lambda: answers.append(fetch(port, timeout=20).status)) for _ in range(6)]
        for one in clients:
            one.start()
        wait_until(lambda: weir.stat("cluster.full.upstream_rq_pending_active") >= 6, "all requests wait")
        self.assertEqual(server.connections, 1)
        allow(100)
        for one in clients:
            one.join(20)
        self.assertEqual(answers, [200] * 6)
        self.assertEqual(server.connections, 1)

    @staticmethod
    def waits(port: int) -> bool:
        """Whether a request has no answer at once; nobody waits for it any more."""
        with Connection(port) as connection:
            connection.send_request()
            return not connection.readable_within(0.3)

    # field: Http2ProtocolOptions@upstream.max_concurrent_streams
    def test_own_limit(self) -> None:
        before = self.limited.connections
        self.limited.on_request = self.answers_together(4)
        self.assertEqual({one.status for one in self.fetch_many("ours", 4)}, {200})
        self.assertEqual(self.limited.connections - before, 2)

    def quick(self) -> int:
        self.limited.on_request = lambda peer, request: peer.respond(request, body=b"ok")
        return self.limited.connections

    def test_max_requests(self) -> None:
        before = self.quick()
        for _ in range(4):
            self.assertEqual(self.get("max_requests").status, 200)
        self.assertEqual(self.limited.connections - before, 2)
        self.assertEqual(self.stat("max_requests", "upstream_cx_max_requests"), 2)
        self.assertEqual(self.stat("max_requests", "http2.goaway_sent"), 2)

    # field: HttpProtocolOptions@upstream.max_connection_duration
    def test_max_age(self) -> None:
        before = self.quick()
        self.assertEqual(self.get("max_age").status, 200)
        self.weir.wait_stat("cluster.max_age.upstream_cx_max_duration_reached", 1)
        self.assertEqual(self.get("max_age").status, 200)
        self.assertEqual(self.limited.connections - before, 2)

    def test_idle(self) -> None:
        self.quick()
        self.assertEqual(self.get("idle").status, 200)
        self.weir.wait_stat("cluster.idle.upstream_cx_idle_timeout", 1)
        self.weir.wait_stat_is("cluster.idle.upstream_cx_active", 0)

    # field: Http2ProtocolOptions@upstream.initial_stream_window_size, Http2ProtocolOptions@upstream.hpack_table_size
    # field: Http2ProtocolOptions@upstream.initial_connection_window_size
    def test_windows(self) -> None:
        self.quick()
        self.assertEqual(self.get("windows").status, 200)
        peer = self.limited.peers[-1]
        self.assertEqual(peer.h2.remote_settings.initial_window_size, 70000)
        self.assertEqual(peer.h2.remote_settings.header_table_size, 0)
        wait_until(lambda: peer.h2.outbound_flow_control_window > 130000, "the window of the connection")
        self.assertLessEqual(peer.h2.outbound_flow_control_window, 140000)

    # field: Http2ProtocolOptions@upstream.connection_keepalive, KeepaliveSettings@upstream.interval, KeepaliveSettings@upstream.timeout
    def test_pings(self) -> None:
        stop = threading.Event()

        def deaf(peer: Http2Peer, request: Request) -> None:
            peer.respond(request, body=b"ok")
            if request.path == "/deaf":
                peer.flush()
                stop.wait(30)  # takes and answers nothing more

        self.silent.on_request = deaf
        self.assertEqual(self.get("pings").status, 200)
        wait_until(lambda: self.silent.peers[0].pings >= 5, "five pings")
        self.assertEqual(self.get("pings").status, 200)
        self.assertEqual(self.silent.connections, 1)  # it has answered them
        self.assertEqual(self.get("pings", "deaf").status, 200)
        self.weir.wait_stat("cluster.pings.http2.keepalive_timeout", 1)
        stop.set()

    # field: KeepaliveSettings@upstream.interval_jitter
    def test_pings_at_random_times(self) -> None:
        self.assertEqual(self.get("jitter").status, 200)
        peer = self.answers.peers[-1]
        start = time.monotonic()
        wait_until(lambda: peer.pings >= 20, "twenty pings")
        # Every 0.1 to 0.2 s; with the jitter that is the default at most 0.115 s.
        self.assertGreater(time.monotonic() - start, 2.4)

    # field: KeepaliveSettings@upstream.connection_idle_interval
    def test_a_ping_before_the_request_that_ends_idleness(self) -> None:
        for _ in range(3):
            self.assertEqual(self.get("idle_ping").status, 200)
        peer = self.answers.peers[-1]
        self.assertEqual(peer.pings, 0)
        time.sleep(0.7)
        self.assertEqual(peer.pings, 0)  # none is sent while nobody wants anything
        self.assertEqual(self.get("idle_ping").status, 200)
        self.assertEqual(peer.pings, 1)
        self.assertEqual(self.stat("idle_ping", "upstream_cx_total"), 1)

    def test_slow_stream_stops_no_other(self) -> None:
        body = b"x" * (40 << 20)

        def big(peer: Http2Peer, request: Request) -> None:
            if request.path != "/slow":
                peer.respond(request, body=b"ok")
                return
            peer.send_head(request)

            def feed() -> None:
                at = 0
                while at < len(body):
                    with peer.lock:
                        room = min(peer.h2.local_flow_control_window(request.id), 16384)
                        if room > 0:
                            peer.send_data(request, body[at:at + room], at + room >= len(body))
                            at += room
                            self.fed = at
                    if room <= 0:
                        time.sleep(0.01)

            threading.Thread(target=feed, daemon=True).start()

        self.fed = 0
        self.echo.on_request = big
        self.addCleanup(setattr, self.echo, "on_request", echo)
        with Connection(self.port, receive_buffer=65536) as slow:
            slow.send_request(path="/echo/slow")
            wait_until(lambda: self.fed > 0, "the slow response begins")
            wait_until_still(lambda: self.fed)
            for _ in range(5):
                self.assertEqual(self.get("echo").body, b"ok")
            self.assertLess(self.fed, 30 << 20)
            self.assertEqual(slow.read_response().body, body)

    # RFC 8441: a client of HTTP/1 asks for WebSocket, and the server's stream is opened by CONNECT.
    def test_websocket(self) -> None:
        def accept(peer: Http2Peer, request: Request) -> None:
            self.assertEqual((request.header(":method"), request.header(":protocol")), ("CONNECT", "websocket"))
            peer.send_head(request, 200)

        self.tunnels.on_head = accept
        self.tunnels.on_data = lambda peer, request, data: peer.send_data(request, data.upper())
        with Connection(self.port) as client:
            client.send(b"GET /tunnels/chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            head = client.reader.head()
            self.assertEqual(head.status, 101)
            self.assertEqual(head.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            client.send(b"hello")
            self.assertEqual(client.sock.recv(5), b"HELLO")
        with Connection(self.port) as client:
            client.send(b"GET /echo/chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            self.assertEqual(client.reader.head().status, 502)  # that server knows no such thing
        with H2(self.port) as client:
            client.pump()
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                            (":authority", "a"), (":path", "/tunnels/chat")])
            client.h2.send_data(stream, b"hello")
            client.flush()
            client.until(stream, h2.events.DataReceived)
            self.assertEqual((client.status(stream), client.body(stream)), ("200", b"HELLO"))

    def test_trailers_in_a_tunnel(self) -> None:
        """RFC 9113 8.5 has no place for them: they end their direction, as data would."""
        self.tunnels.on_head = lambda peer, request: peer.respond(request, 200, b"bye")
        self.tunnels.on_request = lambda peer, request: None
        for _ in range(3):
            with H2(self.port) as client:
                client.pump()
                stream = client.h2.get_next_available_stream_id()
                client.h2.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                                (":authority", "a"), (":path", "/tunnels/chat")])
                client.flush()
                client.until(stream, h2.events.DataReceived)
                client.h2.send_headers(stream, [("x-sum", "1")], end_stream=True)
                client.flush()
                self.weir.wait_stat_is("cluster.tunnels.http2.streams_active", 0)
        self.weir.wait_stat_is("cluster.tunnels.upstream_rq_active", 0)
        self.weir.wait_stat_is("http.ingress.downstream_rq_active", 0)

    def test_tcp_through_connect(self) -> None:
        """Each direction ends by itself, and two tunnels share a connection."""
        def accept(peer: Http2Peer, request: Request) -> None:
            self.assertEqual((request.header(":method"), request.header(":authority"), request.header(":path")),
                             ("CONNECT", "target.example:443", None))
            peer.send_head(request, 200)

        self.connects.on_head = accept
        self.connects.on_data = lambda peer, request, data: peer.send_data(request, data.upper())
        self.connects.on_request = lambda peer, request: peer.send_data(request, b"bye", True)
        clients = [socket.create_connection(("127.0.0.1", self.tcp_port), 10) for _ in range(2)]
        for client in clients:
            client.sendall(b"hello")
            self.assertEqual(client.recv(5), b"HELLO")
        for client in clients:
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(3), b"bye")
            self.assertEqual(client.recv(1), b"")
            client.close()
        self.assertEqual(self.connects.connections, 1)
        self.weir.wait_stat_is("cluster.connects.http2.streams_active", 0)
        self.assertEqual(self.stat("connects", "http2.tx_reset"), 0)
        # A client that breaks off takes its stream with it; what the server refuses ends the client.
        client = socket.create_connection(("127.0.0.1", self.tcp_port), 10)
        client.sendall(b"hello")
        self.assertEqual(client.recv(5), b"HELLO")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        self.weir.wait_stat("cluster.connects.http2.tx_reset", 1)
        self.connects.on_head = lambda peer, request: peer.respond(request, 403)
        with socket.create_connection(("127.0.0.1", self.tcp_port), 10) as refused:
            self.assertEqual(refused.recv(1), b"")


if __name__ == "__main__":
    main()
