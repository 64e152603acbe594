"""Servers of HTTP/2 that leave, refuse, break off or misbehave, all made of Python's h2."""

import contextlib
import socket
import threading
import time
from typing import Any

import h2.errors
import h2.settings
import hyperframe.frame

from harness import Connection, cluster, main, sanitized, wait_until
from harness.clusters import ClustersTestCase, http2
from harness.http2 import Http2Peer, Http2Upstream, Request
from harness.wire import Closed


class UpstreamHttp2FaultsTest(ClustersTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.bad = Http2Upstream(cls.sandbox)
        cls.few = Http2Upstream(cls.sandbox)
        cls.serve([
            cluster("bad", cls.bad.port, **http2()),
            cluster("few", cls.few.port, **http2()),
            cluster("floods", cls.bad.port, **http2(
                max_consecutive_inbound_frames_with_empty_payload=50, max_inbound_priority_frames_per_stream=1,
                max_inbound_window_update_frames_per_data_frame_sent=1000, max_outbound_control_frames=10)),
            cluster("frames", cls.bad.port, **http2(max_outbound_frames=10)),
            cluster("stream_errors", cls.bad.port, **http2(override_stream_error_on_invalid_http_message=True)),
            cluster("old_stream_errors", cls.bad.port, **http2(stream_error_on_invalid_http_messaging=True)),
        ])

    def test_goaway(self) -> None:
        """What the server has not looked at goes elsewhere, without a policy; what it has begun, it ends."""
        first = []

        def leave(peer: Http2Peer, request: Request) -> None:
            if not first:
                first.append(peer)
                # The last stream is the one before this.
                peer.send_raw(hyperframe.frame.GoAwayFrame(0, last_stream_id=request.id - 2 if request.id > 1 else 0).serialize())
                return
            peer.respond(request, body=b"ok")

        self.bad.on_request = lambda peer, request: peer.respond(request, body=b"ok")
        self.assertEqual(self.get("bad").status, 200)
        self.bad.on_request = leave
        before = self.bad.connections
        self.assertEqual(self.get("bad").status, 200)
        self.assertEqual(self.bad.connections - before, 1)
        self.assertGreaterEqual(self.stat("bad", "upstream_cx_close_notify"), 1)

    def test_trailers_beyond_the_limit(self) -> None:
        """Without them an answer would look complete: the status of gRPC is among them."""
        self.bad.on_head = lambda peer, request: None
        self.bad.on_request = lambda peer, request: peer.respond(
            request, body=b"hi", trailers=[("grpc-status", "9"), ("x-details", "A" * (70_000 if request.path.endswith("large") else 7_000))])
        self.assertEqual(len(self.get("bad").trailers), 2)
        with Connection(self.port) as connection:
            connection.send_request("GET", "/bad/large")
            with self.assertRaises((Closed, OSError)):
                connection.read_response()
        self.assertEqual(len(self.get("bad").trailers), 2)

    def test_readers_that_stand_still_stop_nobody_else(self) -> None:
        """What they hold of a connection's window is bounded, and there is room for the others of the same connection."""
        sent: dict[int, int] = {}
        ended = threading.Event()

        def feed(peer: Http2Peer, request: Request) -> None:
            while not ended.is_set():
                with peer.lock:
                    size = min(peer.h2.local_flow_control_window(request.id), 1 << 16, peer.h2.max_outbound_frame_size)
                    if size > 0:
                        peer.h2.send_data(request.id, b"z" * size)
                        peer.flush()
                        sent[request.id] += size
                if size <= 0:
                    time.sleep(0.01)

        def answer(peer: Http2Peer, request: Request) -> None:
            if not request.path.endswith("large"):
                return peer.respond(request, body=b"s" * 10_000)
            sent[request.id] = 0
            peer.send_head(request)
            threading.Thread(target=feed, args=(peer, request), daemon=True).start()

        self.bad.on_head = lambda peer, request: None
        self.bad.on_request = answer
        slow = [Connection(self.port, receive_buffer=4096) for _ in range(4)]
        try:
            for connection in slow:
                connection.send_request("GET", "/bad/large")
            last = -1
            while last != sum(sent.values()) or len(sent) < 4:
                last = sum(sent.values())
                time.sleep(0.3)
            self.assertLess(last, 44 << 20)  # and not 48: SETTINGS take their time
            before = self.bad.connections
            for _ in range(20):
                self.assertEqual(len(self.get("bad").body), 10_000)
            self.assertEqual(self.bad.connections, before)
        finally:
            ended.set()
            for connection in slow:
                connection.close()

    def test_goaway_between_two(self) -> None:
        """The first one is answered where it is, and what was sent of the second one's body goes elsewhere."""
        heads: list[tuple[Http2Peer, Request]] = []
        self.bad.on_request = lambda peer, request: peer.respond(request, body=b"%d:" % len(self.bad.peers) + request.body)
        self.assertEqual(self.get("bad").status, 200)
        self.bad.on_head = lambda peer, request: heads.append((peer, request))
        self.bad.on_request = lambda peer, request: None
        with Connection(self.port) as one, Connection(self.port) as other:
            one.send_request("GET", "/bad/one")
            wait_until(lambda: len(heads) == 1, "the first one is there")
            other.send_request("POST", "/bad/other", body=b"body")
            wait_until(lambda: len(heads) == 2 and heads[1][1].ended, "the second one is there")
            self.assertIs(heads[0][0], heads[1][0])
            peer, request = heads[0]
            self.bad.on_request = lambda peer, request: peer.respond(request, body=b"again " + request.body)
            peer.send_raw(hyperframe.frame.GoAwayFrame(0, last_stream_id=request.id).serialize())
            self.assertEqual(other.read_response().body, b"again body")
            self.assertIsNot(heads[2][0], peer)
            peer.respond(request, body=b"here")
            self.assertEqual(one.read_response().body, b"here")
        self.bad.on_head = lambda peer, request: None

    def test_a_window_that_shrinks(self) -> None:
        """Of an upload: what has used up more than is left waits until the window is above zero again."""
        heads: list[tuple[Http2Peer, Request]] = []
        self.bad.acknowledges = False
        self.bad.on_head = lambda peer, request: heads.append((peer, request))
        self.bad.on_request = lambda peer, request: peer.respond(request, body=b"%d" % len(request.body))
        with Connection(self.port) as client:
            client.send_request("POST", "/bad/shrinks", body=b"x" * 200000)
            wait_until(lambda: heads and len(heads[0][1].body) == 65535, "all that the window allows")
            peer, request = heads[0]
            with peer.lock:
                peer.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
                peer.h2.increment_flow_control_window(1 << 20)
                peer.flush()
            time.sleep(0.2)
            self.assertEqual(len(request.body), 65535)
            with peer.lock:
                peer.h2.increment_flow_control_window(65535 + 100, request.id)
                peer.flush()
            wait_until(lambda: len(request.body) == 65635, "what there is room for")
            time.sleep(0.1)
            self.assertEqual(len(request.body), 65635)
            with peer.lock:
                peer.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
                peer.flush()
            self.assertEqual(client.read_response().body, b"200000")
        self.bad.acknowledges = True
        self.bad.on_head = lambda peer, request: None

    def test_refused_stream(self) -> None:
        seen = []

        def refuse(peer: Http2Peer, request: Request) -> None:
            seen.append(request)
            if len(seen) == 1:
                peer.reset(request, h2.errors.ErrorCodes.REFUSED_STREAM)
            else:
                peer.respond(request, body=b"ok")

        self.bad.on_request = refuse
        self.assertEqual(self.get("bad", method="POST").status, 200)
        self.assertEqual(len(seen), 2)
        seen.clear()
        self.bad.on_request = lambda peer, request: peer.reset(request, h2.errors.ErrorCodes.REFUSED_STREAM)
        self.assertEqual(self.get("bad", "refused").status, 503)
        self.assertEqual(self.line("/bad/refused")[2:4], [
            "UR", "upstream_reset_before_response_started{remote_refused_stream_reset}"])
        # A server that refuses everything is not asked everything twice.
        before = self.stat("bad", "upstream_rq_total")
        for _ in range(50):
            self.assertEqual(self.get("bad").status, 503)
        self.assertLess(self.stat("bad", "upstream_rq_total") - before, 65)
        # One that answers most is.
        self.bad.on_request = lambda peer, request: peer.respond(request)
        self.assertEqual(self.get("bad").status, 200)
        self.bad.on_request = lambda peer, request: (
            peer.reset(request, h2.errors.ErrorCodes.REFUSED_STREAM) if request.id % 8 == 3 else peer.respond(request))
        for _ in range(50):
            self.assertEqual(self.get("bad").status, 200)

    def test_a_server_that_takes_fewer_than_it_says(self) -> None:
        """What it refuses goes to other connections, which are given no more than the first has taken."""
        limit, count = 4, 12
        held: dict[Http2Peer, list[Request]] = {}
        lock = threading.Lock()

        def take_few(peer: Http2Peer, request: Request) -> None:
            with lock:
                mine = held.setdefault(peer, [])
                refused = len(mine) == limit
                if not refused:
                    mine.append(request)
            if refused:
                peer.reset(request, h2.errors.ErrorCodes.REFUSED_STREAM)

        self.few.on_request = lambda peer, request: peer.respond(request)
        self.assertEqual(self.get("few").status, 200)
        self.few.on_request = take_few
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Connection(self.port)) for _ in range(count)]
            for client in clients:
                client.send_request("GET", "/few/x")
            wait_until(lambda: sum(map(len, held.values())) == count, "all of them under way")
            self.assertGreater(self.stat("few", "http2.stream_refused_errors"), 0)
            self.assertLess(self.few.connections, count)
            for peer, requests in list(held.items()):
                for request in requests[:]:
                    peer.respond(request)
            held.clear()
            self.assertEqual({client.read_response().status for client in clients}, {200})

    def test_reset(self) -> None:
        self.bad.on_request = lambda peer, request: peer.reset(request, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self.assertEqual(self.get("bad", "reset").status, 503)
        self.assertEqual(self.line("/bad/reset")[1:4], ["503", "UR", "upstream_reset_before_response_started{remote_reset}"])
        connections = self.bad.connections
        self.bad.on_request = lambda peer, request: peer.respond(request, body=b"ok")
        self.assertEqual(self.get("bad").status, 200)
        self.assertEqual(self.bad.connections, connections)  # it was the stream's error alone
        self.assertGreaterEqual(self.stat("bad", "http2.rx_reset"), 1)

    def abuse(self, name: str, attack: Any) -> None:
        """The request fails, and the next one is served."""
        self.bad.on_request = attack
        self.assertIn(self.get("bad", name).status, (502, 503))
        self.bad.on_request = lambda peer, request: peer.respond(request, body=b"ok")
        self.assertEqual(self.get("bad").status, 200)
        self.weir.wait_stat_is("cluster.bad.http2.streams_active", 0)

    def test_bad_servers(self) -> None:
        frame = hyperframe.frame

        def push(peer: Http2Peer, request: Request) -> None:
            promise = frame.PushPromiseFrame(request.id, promised_stream_id=2, data=b"\x82\x84\x87\x41\x01a")
            promise.flags.add("END_HEADERS")
            peer.send_raw(promise.serialize())

        def window(peer: Http2Peer, request: Request) -> None:
            peer.send_raw(frame.WindowUpdateFrame(0, window_increment=0x7fffffff).serialize() * 2)

        def continuations(peer: Http2Peer, request: Request) -> None:
            peer.send_raw(frame.HeadersFrame(request.id, data=b"\x88").serialize() +
                          frame.ContinuationFrame(request.id, data=b"\x00\x01a\x7f\x81\x01" + b"b" * 256).serialize() * 20000)

        def bomb(peer: Http2Peer, request: Request) -> None:
            # One large field in the table, and then thousands of references to it.
            large = b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000
            head = frame.HeadersFrame(request.id, data=b"\x88" + large + b"\xbe" * 12000)
            head.flags.add("END_HEADERS")
            peer.send_raw(head.serialize())

        def pings(peer: Http2Peer, request: Request) -> None:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.send_raw(frame.PingFrame(0, b"12345678").serialize() * 200000)

        def garbage(peer: Http2Peer, request: Request) -> None:
            peer.send_raw(b"HTTP/1.1 400 Bad\r\n\r\n" * 100)

        def status(peer: Http2Peer, request: Request) -> None:
            head = frame.HeadersFrame(request.id, data=b"\x48\x03abc")
            head.flags.add("END_HEADERS")
            head.flags.add("END_STREAM")
            peer.send_raw(head.serialize())

        def small_status(end: bool) -> Any:
            def answer(peer: Http2Peer, request: Request) -> None:
                head = frame.HeadersFrame(request.id, data=b"\x48\x03099")
                head.flags.add("END_HEADERS")
                if end:
                    head.flags.add("END_STREAM")
                peer.send_raw(head.serialize() + (b"" if end else frame.DataFrame(request.id, data=b"x", flags=["END_STREAM"]).serialize()))
            return answer

        for end in (False, True):
            self.bad.on_request = small_status(end)
            answer = self.get("bad")
            self.assertEqual((answer.status, "protocol error" in answer.text), (502, True), answer.text)
        self.bad.on_request = lambda peer, request: peer.respond(request, body=b"ok")
        self.assertEqual(self.get("bad").status, 200)

        before = self.weir.process.resident_kib()
        for attack in (push, window, continuations, bomb, pings, garbage, status):
            with self.subTest(attack.__name__):
                self.abuse(attack.__name__, attack)
        self.assertGreaterEqual(self.stat("bad", "upstream_cx_protocol_error"), 4)
        if not sanitized():
            self.assertLess(self.weir.process.resident_kib() - before, 64 << 10)

    # field: Http2ProtocolOptions@upstream.max_consecutive_inbound_frames_with_empty_payload
    # field: Http2ProtocolOptions@upstream.max_inbound_priority_frames_per_stream
    # field: Http2ProtocolOptions@upstream.max_inbound_window_update_frames_per_data_frame_sent
    # field: Http2ProtocolOptions@upstream.max_outbound_control_frames, Http2ProtocolOptions@upstream.max_outbound_frames
    def test_limits_of_frames(self) -> None:
        frame = hyperframe.frame

        def empty(peer: Http2Peer, request: Request) -> None:
            peer.send_head(request)
            peer.send_raw(frame.DataFrame(request.id).serialize() * 20)
            peer.send_data(request, b"ok", True)

        def updates(peer: Http2Peer, request: Request) -> None:
            peer.send_raw(frame.WindowUpdateFrame(0, window_increment=1).serialize() * 500)
            peer.respond(request, body=b"ok")

        def priorities(peer: Http2Peer, request: Request) -> None:
            peer.send_raw(frame.PriorityFrame(request.id, depends_on=0, stream_weight=1).serialize() * 50)
            peer.respond(request, body=b"ok")

        def pings(peer: Http2Peer, request: Request) -> None:
            peer.send_raw(frame.PingFrame(0, b"12345678").serialize() * 100)
            time.sleep(0.2)
            peer.respond(request, body=b"ok")

        for cluster_name, attack, method, status, counter in (
                ("bad", empty, "GET", 0, "inbound_empty_frames_flood"), ("floods", empty, "GET", 200, None),
                ("bad", updates, "POST", 502, "inbound_window_update_frames_flood"), ("floods", updates, "POST", 200, None),
                ("bad", priorities, "GET", 200, None), ("floods", priorities, "GET", 502, "inbound_priority_frames_flood"),
                ("bad", pings, "GET", 200, None), ("floods", pings, "GET", 502, "outbound_control_flood"),
                ("frames", pings, "GET", 502, "outbound_flood")):
            with self.subTest(cluster=cluster_name, attack=attack.__name__):
                self.bad.on_request = attack
                before = self.stat(cluster_name, "http2.%s" % counter) if counter else 0
                body = {"body": b"b"} if method == "POST" else {}
                if status == 0:  # the head was passed on before
                    with self.assertRaises(Closed):
                        self.get(cluster_name, attack.__name__, method=method, **body)
                else:
                    answer = self.get(cluster_name, attack.__name__, method=method, **body)
                    self.assertEqual(answer.status, status)
                if counter:
                    self.assertEqual(self.stat(cluster_name, "http2.%s" % counter) - before, 1)

    # field: Http2ProtocolOptions@upstream.override_stream_error_on_invalid_http_message
    # field: Http2ProtocolOptions@upstream.stream_error_on_invalid_http_messaging
    def test_malformed_messages(self) -> None:
        def malformed(peer: Http2Peer, request: Request) -> None:
            head = hyperframe.frame.HeadersFrame(request.id, data=b"\x88\x00\x03Bad\x01x")
            head.flags.add("END_HEADERS")
            head.flags.add("END_STREAM")
            peer.send_raw(head.serialize())

        for name, stays in (("bad", False), ("stream_errors", True), ("old_stream_errors", True)):
            with self.subTest(name):
                self.bad.on_request = malformed
                self.assertEqual(self.get(name).status, 502)
                before = self.bad.connections
                self.bad.on_request = lambda peer, request: peer.respond(request, body=b"ok")
                self.assertEqual(self.get(name).status, 200)
                self.assertEqual(self.bad.connections - before, 0 if stays else 1)


if __name__ == "__main__":
    main()
