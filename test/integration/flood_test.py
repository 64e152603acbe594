"""Show 5 of issue 6: floods of every kind while a client that behaves goes on. It sees no error, memory stays, each flood is
counted; its times are printed beside those of a quiet server."""

import os
import sys
import time

from harness import Connection, Nginx, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route, wait_until
from harness.case import sanitized
from harness.config import server_tls
from harness.http2_client import H2
from harness.tls import Authority, TlsConnection, client_context

DRIVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flood_drivers.py")
SECONDS = 2.0
MOST_MEMORY_KIB = 64 << 10
# Kind of flood, the listener that it is for, and what counts it ("SSL" is for the statistics of that listener's TLS).
FLOODS = (
    ("rapid_reset", "plain", ["http.ingress.downstream_rq_too_many_premature_resets"]),
    ("continuations", "plain", ["http2.inbound_continuation_flood"]),
    ("header_lists", "plain", ["http2.header_overflow"]),
    ("hpack_bombs", "plain", ["http2.header_overflow"]),
    ("settings", "plain", ["http2.outbound_control_flood"]),
    ("pings", "plain", ["http2.outbound_control_flood"]),
    ("priorities", "plain", ["http2.inbound_priority_frames_flood"]),
    ("window_updates", "plain", ["http2.inbound_window_update_frames_flood"]),
    ("empty_frames", "plain", ["http2.inbound_empty_frames_flood"]),
    ("stray_data", "plain", ["http2.inbound_stray_data_flood"]),
    ("too_many_streams", "plain", ["http2.stream_refused_errors"]),
    ("stuck_windows", "plain", ["http.ingress.downstream_rq_idle_timeout", "http2.tx_flush_timeout"]),
    ("slow_heads", "plain", ["http.ingress.downstream_rq_header_timeout"]),
    ("slow_bodies", "plain", ["http.ingress.downstream_rq_timeout"]),
    ("slow_handshakes", "tls", ["SSL.downstream_cx_transport_socket_connect_timeout"]),
    ("handshakes", "tls", ["SSL.ssl.handshake_deferred"]),
    ("renegotiations", "tls", ["SSL.ssl.connection_error"]),
)


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)] * 1000 if times else 0


class FloodTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.nginx = Nginx(cls.sandbox, "up")
        cls.calm = Nginx(cls.sandbox, "calm")  # what is measured does not wait for a server that is flooded itself
        with open(os.path.join(cls.sandbox.path("nginx-up"), "files", "large"), "wb") as file:
            file.write(b"z" * (1 << 20))
        cls.ports = {name: cls.sandbox.free_port() for name in ("plain", "tls")}
        # Whoever asks for this gets no answer, and costs no server anything.
        silent = {"name": "fault", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"fixed_delay": "60s", "percentage": {"numerator": 100}},
            "headers": [{"name": ":path", "string_match": {"exact": "/silent"}}]}}
        listeners = []
        for name, port in cls.ports.items():
            listener = http_listener(port, [route({"path": "/who"}, "calm"), route({"prefix": "/"}, "up")], name=name, http_filters=[silent],
                                     request_headers_timeout="0.6s", request_timeout="1s", stream_idle_timeout="1.8s",
                                     http2_protocol_options={"max_concurrent_streams": 100})
            listeners.append(listener)
        listeners[1]["filter_chains"][0].update({
            "transport_socket": server_tls(cls.ca.issue("a.example", key="rsa"), common={"alpn_protocols": ["h2", "http/1.1"]}),
            "transport_socket_connect_timeout": "1s"})
        breakers = {"thresholds": [{"max_connections": 4096, "max_pending_requests": 100000, "max_requests": 100000}]}
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [
            cluster("up", cls.nginx.port, circuit_breakers=breakers), cluster("calm", cls.calm.port)]), concurrency=2)

    def new_connection(self) -> TlsConnection:
        return TlsConnection(self.ports["tls"], "a.example", client_context(self.ca))

    def measure(self, seconds: float) -> tuple[list[float], list[float]]:
        """How long requests took, and new connections with a first one. Each of them is answered."""
        requests, connections = [], []
        end = time.monotonic() + seconds
        with Connection(self.ports["plain"]) as plain, self.new_connection() as tls, \
                H2(self.ports["tls"], tls=client_context(self.ca, alpn=["h2"])) as client:
            def ask_h2() -> None:
                stream = client.request("/who")
                client.until(stream)
                self.assertEqual((client.status(stream), client.body(stream)), ("200", b"calm\n"))
                client.events.clear()

            rounds = 0
            while time.monotonic() < end:
                for one in (plain, tls):
                    begin = time.monotonic()
                    response = one.request(path="/who")
                    requests.append(time.monotonic() - begin)
                    self.assertEqual((response.status, response.text), (200, "calm\n"))
                begin = time.monotonic()
                ask_h2()
                requests.append(time.monotonic() - begin)
                rounds += 1
                if rounds % 10 == 0:
                    begin = time.monotonic()
                    with self.new_connection() as other:
                        self.assertEqual(other.request(path="/who").status, 200)
                    connections.append(time.monotonic() - begin)
                time.sleep(0.002)
        return requests, connections

    def counted(self, names: list[str], listener: str) -> int:
        stats = self.weir.stats()
        prefix = "listener.127.0.0.1_%d." % self.ports[listener]
        return sum(stats.get(name.replace("SSL.", prefix), 0) for name in names)

    def test_floods(self) -> None:
        self.measure(0.3)
        quiet, quiet_new = self.measure(SECONDS)
        print("%-17s p99 %6.1f ms, new connections %6.1f ms" % ("quiet", percentile(quiet, 0.99), percentile(quiet_new, 0.5)))
        for kind, listener, counters in FLOODS:
            with self.subTest(kind):
                self.flood(kind, listener, counters, percentile(quiet, 0.99))

    def flood(self, kind: str, listener: str, counters: list[str], quiet: float) -> None:
        before = self.counted(counters, listener)
        self.weir.process.reset_peak()
        memory = self.weir.process.resident_kib()
        # It begins before the measurement, and goes on a little longer.
        driver = self.sandbox.start([sys.executable, DRIVERS, kind, str(self.ports[listener]), str(SECONDS + 0.7)], kind)
        wait_until(lambda: "begins" in driver.log(), "the flood begins")
        requests, connections = self.measure(SECONDS)
        self.assertEqual(driver.wait(20), 0, driver.log())
        self.weir.wait_stat_is("http2.streams_active", 0)
        counted = self.counted(counters, listener) - before
        grown = self.weir.process.resident_kib("VmHWM") - memory
        p99 = percentile(requests, 0.99)
        print("%-17s p99 %6.1f ms (x %.1f), new connections %6.1f ms, memory %+6.1f MiB, counted %6d, %s" % (
            kind, p99, p99 / quiet, percentile(connections, 0.5), grown / 1024, counted, driver.log().strip().split("\n")[-1]))
        self.assertGreater(counted, 0)
        if not sanitized():
            self.assertLess(grown, MOST_MEMORY_KIB)
        self.assertTrue(self.weir.process.running())
        self.assertEqual(fetch(self.ports["plain"], "/who").status, 200)


if __name__ == "__main__":
    main()
