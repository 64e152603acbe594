"""gRPC through weir, with gRPC's own client and server: what it needs of HTTP/2 on both sides at once."""

import queue
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional

import grpc

from harness import (Connection, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener, main, refuses, route,
                     to_yaml, wait_line, wait_until)
from harness.config import HTTP2
from harness.grpc_service import SERVICE, Service, frame, start_server
from harness.tls import write_atomically

LINE = "%REQ(:PATH)%|%PROTOCOL%|%UPSTREAM_PROTOCOL%|%RESPONSE_CODE%|%GRPC_STATUS%|%RESPONSE_FLAGS%\n"


class GrpcTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.service = Service()
        cls.server, port = start_server(cls.sandbox, cls.service)
        cls.mortal, mortal_port = start_server(cls.sandbox, cls.service)
        cls.port = cls.sandbox.free_port()
        cls.log = cls.sandbox.path("access.log")
        timeouts = {"timeout": "0s"}
        capped = route({"prefix": "/test.Echo/Slow", "headers": [{"name": "x-capped", "present_match": True}]}, "grpc")
        capped["route"]["max_stream_duration"] = {"grpc_timeout_header_max": "30s", "grpc_timeout_header_offset": "19.5s"}
        capped["route"]["timeout"] = "0s"
        brief = route({"prefix": "/test.Echo/Slow", "headers": [{"name": "x-brief", "present_match": True}]}, "grpc",
                      {**timeouts, "max_stream_duration": {"max_stream_duration": "0.4s"}})
        routes = [capped, brief]
        for name in ("mortal", "nobody"):
            one = route({"prefix": "/", "headers": [{"name": "x-to", "string_match": {"exact": name}}]}, name, timeouts)
            routes.append(one)
        for name in ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"):
            routes.append(route({"prefix": "/", "headers": [{"name": "x-retry-on", "string_match": {"exact": name}}]}, "grpc", {
                **timeouts, "retry_policy": {"retry_on": name, "num_retries": 3, "retry_back_off": {"base_interval": "0.001s"}}}))
        routes.append(route({"prefix": "/"}, "grpc", timeouts))
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, routes, access_log=[file_access_log(cls.log, LINE)])], [
            cluster("grpc", port, **HTTP2), cluster("mortal", mortal_port, **HTTP2),
            cluster("nobody", cls.sandbox.free_port(), **HTTP2)]), concurrency=1)
        cls.channel = grpc.insecure_channel("127.0.0.1:%d" % cls.port, options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)])
        cls.sandbox.at_close(cls.channel.close)

    def unary(self, name: str) -> Any:
        return self.channel.unary_unary("/%s/%s" % (SERVICE, name))

    def talk(self) -> Any:
        return self.channel.stream_stream("/%s/Talk" % SERVICE)

    def line(self, path: str, flags: str = "") -> list[str]:
        return wait_line(self.log, path + "|", r"\|%s$" % flags if flags else "").split("|")

    def quiet(self) -> None:
        """Nothing is left of any call, at either side."""
        self.weir.wait_stat_is("cluster.grpc.http2.streams_active", 0)
        self.weir.wait_stat_is("cluster.grpc.upstream_rq_active", 0)

    def test_unary(self) -> None:
        answer, call = self.unary("Unary").with_call(b"\0\1hello", timeout=10, metadata=(("x-sent", "yes"), ("x-raw-bin", b"\1\2")))
        self.assertEqual(answer, b"\0\1hello")
        self.assertEqual(dict(call.initial_metadata())["x-initial"], "first")
        trailing = dict(call.trailing_metadata())
        self.assertEqual((trailing["x-trailing"], trailing["x-bytes-bin"]), ("last", b"\0\xff"))
        self.assertEqual(self.service.metadata["x-sent"], "yes")
        self.assertEqual(self.service.metadata["x-raw-bin"], b"\1\2")
        self.assertEqual(self.line("/test.Echo/Unary")[1:], ["HTTP/2", "HTTP/2", "200", "OK", "-"])
        self.quiet()

    def test_many_at_a_time(self) -> None:
        self.unary("Unary")(b"", timeout=10)
        before = self.weir.stat("cluster.grpc.upstream_cx_total")
        calls = [self.unary("Unary").future(b"%d" % i, timeout=20) for i in range(200)]
        self.assertEqual([call.result() for call in calls], [b"%d" % i for i in range(200)])
        self.assertEqual(self.weir.stat("cluster.grpc.upstream_cx_total"), before)
        self.quiet()

    def test_large_messages(self) -> None:
        message = bytes(range(256)) * (64 << 10)
        self.assertEqual(self.unary("Unary")(message, timeout=60), message)
        self.quiet()

    def test_streams_of_one_side(self) -> None:
        answers = list(self.channel.unary_stream("/%s/Count" % SERVICE)(b"5000", timeout=60))
        self.assertEqual(answers, [b"%d" % i for i in range(5000)])
        total = self.channel.stream_unary("/%s/Sum" % SERVICE)(iter([b"%d" % i for i in range(2000)]), timeout=60)
        self.assertEqual(total, b"%d" % sum(range(2000)))
        self.quiet()

    def test_both_sides_talk(self) -> None:
        """Each message waits for the answer to the one before: nothing may be held back."""
        said = threading.Semaphore(1)

        def messages() -> Iterator[bytes]:
            for i in range(50):
                said.acquire(timeout=10)
                yield b"m%d" % i

        seen = []
        for answer in self.talk()(messages(), timeout=30):
            seen.append(answer)
            said.release()
        self.assertEqual(seen, [b"M%d" % i for i in range(50)])
        self.quiet()

    def test_trailers_only(self) -> None:
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary("Fail")(b"", timeout=10)
        error: Any = caught.exception
        self.assertEqual((error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, "no, 100% sure"))
        self.assertEqual(dict(error.trailing_metadata())["x-why"], "told")
        self.assertEqual(self.line("/test.Echo/Fail")[3:], ["200", "FailedPrecondition", "-"])
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary("Nothing")(b"", timeout=10)
        error = caught.exception
        self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.quiet()

    def test_cancellation_reaches_the_server(self) -> None:
        self.service.cancelled.clear()
        resets = self.weir.stat("cluster.grpc.upstream_rq_tx_reset")
        call = self.unary("Slow").future(b"")
        self.weir.wait_stat_is("cluster.grpc.http2.streams_active", 1)
        call.cancel()
        self.assertTrue(self.service.cancelled.wait(10))
        self.quiet()
        self.assertEqual(self.weir.stat("cluster.grpc.upstream_rq_tx_reset"), resets + 1)
        self.assertEqual(self.line("/test.Echo/Slow", "DR")[5], "DR")
        # In the middle of a stream, too.
        self.service.cancelled.clear()
        hold = threading.Event()

        def messages() -> Iterator[bytes]:
            yield b"one"
            hold.wait(20)

        stream = self.talk()(messages())
        self.assertEqual(next(stream), b"ONE")
        stream.cancel()
        self.assertTrue(self.service.cancelled.wait(10))
        hold.set()
        self.quiet()

    def test_deadlines(self) -> None:
        self.service.cancelled.clear()
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary("Slow")(b"", timeout=0.5)
        error: Any = caught.exception
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertTrue(self.service.cancelled.wait(10))
        self.quiet()
        # weir knows it as well, and may answer before the client gives up.
        self.service.cancelled.clear()
        begin = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary("Slow")(b"", timeout=20, metadata=(("x-capped", "1"),))
        error = caught.exception
        self.assertLess(time.monotonic() - begin, 19)  # half a second after it began, if the machine is not slow
        self.assertIn(error.code(), (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE))
        self.assertTrue(self.service.cancelled.wait(10))
        self.quiet()

    def test_a_stream_that_may_not_last(self) -> None:
        self.service.cancelled.clear()
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary("Slow")(b"", timeout=20, metadata=(("x-brief", "1"),))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        # The server knows of the limit, and may say first that it is over.
        self.assertIn(caught.exception.details(), ("downstream duration timeout", "Deadline Exceeded"))
        self.assertTrue(self.service.cancelled.wait(10))
        self.quiet()

    def test_retries_on_statuses(self) -> None:
        """A server that says so in headers alone is asked again, for the status that the route names and no other."""
        statuses = {"cancelled": "CANCELLED", "deadline-exceeded": "DEADLINE_EXCEEDED", "internal": "INTERNAL",
                    "resource-exhausted": "RESOURCE_EXHAUSTED", "unavailable": "UNAVAILABLE"}
        for policy, status in statuses.items():
            for other in ("UNAVAILABLE", "INTERNAL", "NOT_FOUND"):
                with self.subTest(policy=policy, status=other):
                    self.service.failures = [other] * 2
                    call = self.unary("Flaky").future(b"again", timeout=10, metadata=(("x-retry-on", policy),))
                    if other == status:
                        self.assertEqual(call.result(), b"again")
                    else:
                        self.assertEqual(call.code(), grpc.StatusCode[other])
            self.service.failures = [status] * 3
            self.assertEqual(self.unary("Flaky")(b"x", timeout=10, metadata=(("x-retry-on", policy),)), b"x")
            self.service.failures = [status] * 4
            with self.assertRaises(grpc.RpcError) as caught:
                self.unary("Flaky")(b"x", timeout=10, metadata=(("x-retry-on", policy),))
            error: Any = caught.exception
            self.assertEqual(error.code(), grpc.StatusCode[status])
        self.service.failures = []
        self.quiet()

    def test_clients_of_http1(self) -> None:
        """Frames as the body, trailers behind the last chunk."""
        with Connection(self.port) as client:
            for _ in range(2):
                response = client.request("POST", "/test.Http1/Unary", body=frame(b"hello"), headers=[
                    ("content-type", "application/grpc"), ("te", "trailers")])
                self.assertEqual((response.status, response.header("content-type")), (200, "application/grpc"))
                self.assertEqual(response.body, frame(b"hello"))
                self.assertEqual(dict(response.trailers)["grpc-status"], "0")
                self.assertEqual(dict(response.trailers)["x-trailing"], "last")
            response = client.request("POST", "/test.Http1/Fail", body=frame(b""), headers=[
                ("content-type", "application/grpc"), ("te", "trailers")])
            self.assertEqual((response.status, response.header("grpc-status"), response.body), (200, "9", b""))
            self.assertEqual(response.header("grpc-message"), "no, 100%25 sure")
        self.quiet()

    def test_nobody_is_there(self) -> None:
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary("Unary")(b"", timeout=10, metadata=(("x-to", "nobody"),))
        error: Any = caught.exception
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("upstream connect error", error.details())

    def test_a_server_that_leaves(self) -> None:
        """Without warning: what runs fails, as gRPC says it; in order, what runs is served."""
        hold = threading.Event()

        def messages() -> Iterator[bytes]:
            yield b"one"
            hold.wait(30)

        stream = self.talk()(messages(), metadata=(("x-to", "mortal"),))
        self.assertEqual(next(stream), b"ONE")
        stopped = self.mortal.stop(20)  # GOAWAY, and no more calls
        self.weir.wait_stat_is("cluster.mortal.upstream_cx_close_notify", 1)
        self.assertEqual(self.weir.stat("cluster.mortal.http2.streams_active"), 1)
        hold.set()
        self.assertEqual(list(stream), [])
        self.assertTrue(stopped.wait(10))
        self.weir.wait_stat_is("cluster.mortal.upstream_cx_active", 0)


class Conversation:
    """A call in both directions that says one thing after the other."""

    def __init__(self, channel: Any):
        self._said: queue.Queue[Optional[bytes]] = queue.Queue()
        self.call = channel.stream_stream("/%s/Talk" % SERVICE)(iter(self._said.get, None))

    def says(self, text: bytes) -> bytes:
        self._said.put(text)
        return bytes(next(self.call))

    def goes_on(self) -> Any:
        """Says one thing after the other until the call breaks off: the error."""
        end = time.monotonic() + 60
        count = 0
        while time.monotonic() < end:
            try:
                answer = self.says(b"m%d" % count)
            except grpc.RpcError as problem:
                return problem
            assert answer == b"M%d" % count, answer
            count += 1
            time.sleep(0.05)
        raise AssertionError("it has not broken off")

    def ends(self) -> list[bytes]:
        self._said.put(None)
        return list(self.call)


class GrpcDrainTest(WeirTestCase):
    """Show 6 of issue 6: what is under way goes on, and nobody who asks anew meets an error."""

    @classmethod
    def set_up(cls) -> None:
        cls.service = Service()
        cls.server, cls.upstream = start_server(cls.sandbox, cls.service)

    def config(self, *ports: int, drain_timeout: str = "0.5s") -> dict[str, Any]:
        return bootstrap([http_listener(port, [route({"prefix": "/"}, "grpc", {"timeout": "0s"})], name="at-%d" % port,
                                        drain_timeout=drain_timeout) for port in ports], [cluster("grpc", self.upstream, **HTTP2)])

    def channel(self, *ports: int) -> Any:
        channel = grpc.insecure_channel("ipv4:" + ",".join("127.0.0.1:%d" % port for port in ports),
                                        options=[("grpc.default_authority", "a.example")])
        self.addCleanup(channel.close)
        return channel

    def test_a_stream_outlives_its_listener_until_the_deadline(self) -> None:
        gone, stays = self.sandbox.free_port(), self.sandbox.free_port()
        weir = Weir(self.sandbox, self.config(gone, stays), concurrency=2, arguments=["--drain-time-s", "3"])
        talks, finishes = Conversation(self.channel(gone)), Conversation(self.channel(gone))
        for one in (talks, finishes):
            self.assertEqual(one.says(b"before"), b"BEFORE")
        begin = time.monotonic()
        write_atomically(weir.config_path, to_yaml(self.config(stays)) + "\n")
        weir.admin("/reload", "POST")
        wait_until(lambda: refuses(gone), "the listener is gone")
        self.assertEqual(finishes.says(b"last"), b"LAST")
        self.assertEqual(finishes.ends(), [])
        self.assertEqual(finishes.call.code(), grpc.StatusCode.OK)
        self.assertEqual(talks.goes_on().code(), grpc.StatusCode.UNAVAILABLE)
        self.assertGreater(time.monotonic() - begin, 2.7)
        self.assertEqual(self.channel(stays).unary_unary("/%s/Unary" % SERVICE)(b"x", timeout=10), b"x")

    def test_a_stream_outlives_sigterm_until_the_deadline(self) -> None:
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, self.config(port), concurrency=2, arguments=["--shutdown-deadline-s", "2"])
        talks = Conversation(self.channel(port))
        self.assertEqual(talks.says(b"before"), b"BEFORE")
        begin = time.monotonic()
        weir.process.signal(signal.SIGTERM)
        talks.goes_on()
        self.assertGreater(time.monotonic() - begin, 1.7)
        weir.ended_with(4)

    def test_unary_calls_meet_no_error(self) -> None:
        """Clients that know two proxies, of which one is told to end: what they have asked for is answered, and they go over."""
        first, second = self.sandbox.free_port(), self.sandbox.free_port()
        ends = Weir(self.sandbox, self.config(first), concurrency=2, arguments=["--shutdown-deadline-s", "30"])
        stays = Weir(self.sandbox, self.config(second), concurrency=2)
        stop = threading.Event()
        answered = [0] * 4
        problems: list[str] = []

        def ask(index: int) -> None:
            call = self.channel(first, second).unary_unary("/%s/Unary" % SERVICE)
            while not stop.is_set():
                try:
                    text = b"%d" % answered[index]
                    if call(text, timeout=20) != text:
                        problems.append("another's answer")
                    answered[index] += 1
                except grpc.RpcError as problem:
                    problems.append(repr(problem))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(answered))]
        for thread in threads:
            thread.start()
        wait_until(lambda: min(answered) > 20 or problems, "all of them ask")
        self.assertEqual(stays.stat("http.ingress.downstream_rq_total"), 0)
        ends.process.signal(signal.SIGTERM)
        ends.ended_with(0)
        before = list(answered)
        wait_until(lambda: all(now > was + 20 for now, was in zip(answered, before)) or problems, "they go on")
        stop.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(problems, [])
        self.assertGreater(stays.stat("http.ingress.downstream_rq_total"), 80)


if __name__ == "__main__":
    main()
