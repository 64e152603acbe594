"""Statistics that go to collectors, what /stats says of histograms, and how a scrape is kept small."""

import json
import re
import signal
import socket
import time
import urllib.request
from typing import Any, Callable

from harness import Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route, wait_until
from harness.config import address
from harness.prometheus import COUNTER, GAUGE, HISTOGRAM, MEDIA_TYPE, families, labels_of, native_buckets

_TYPE = "type.googleapis.com/envoy.config.metrics.v3."


def udp(port: int) -> dict:
    """Nobody says so who thinks of it; who does is right."""
    return {"socket_address": {"protocol": "UDP", "address": "127.0.0.1", "port_value": port}}


class Collector:
    """Receives datagrams, and nothing else."""

    def __init__(self, sandbox: Any) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self.datagrams: list[str] = []
        sandbox.at_close(self._socket.close)

    def lines(self) -> list[str]:
        while True:
            try:
                self.datagrams.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return [line for one in self.datagrams for line in one.split("\n")]

    def wait(self, wanted: Callable[[list[str]], bool], what: str) -> None:
        wait_until(lambda: wanted(self.lines()), what)

    def sum(self, start: str) -> int:
        return sum(int(line[len(start):].split("|")[0]) for line in self.lines() if line.startswith(start))


class ProcessesTest(WeirTestCase):
    """What several processes, one behind the other, say to one collector adds up to what there was."""

    def test_counts_are_said_once(self) -> None:
        collector, echo, port = Collector(self.sandbox), EchoUpstream(self.sandbox), self.sandbox.free_port()
        config = bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")])], [cluster("echo", echo.port)])
        config["stats_flush_interval"] = "0.2s"
        config["stats_sinks"] = [{"name": "envoy.stat_sinks.statsd", "typed_config": {
            "@type": _TYPE + "StatsdSink", "address": udp(collector.port)}}]
        arguments = ["--socket-path", self.sandbox.path("sink"), "--drain-strategy", "immediate"]
        weir, sent = Weir(self.sandbox, config, arguments=arguments), 0
        for _ in range(2):
            with Connection(port) as held:
                for _ in range(5):
                    self.assertEqual(held.request().status, 200)
                collector.wait(lambda lines: "envoy.http.ingress.downstream_cx_active:1|g" in lines, "the gauge")
                before, weir = weir, Weir(self.sandbox, config, arguments=[*arguments, "--restart"])
                self.assertEqual(held.request().status, 200)  # of the process before
            before.ended_with(0)
            sent += 6
        weir.wait_stat_is("cluster.echo.upstream_rq_total", sent)
        self.assertEqual(fetch(port).status, 200)
        weir.process.signal(signal.SIGTERM)
        weir.ended_with(0)
        name = "envoy.cluster.echo.upstream_rq_total:"
        self.assertEqual(collector.sum(name), sent + 1)
        gauges = [line for line in collector.lines() if line.startswith("envoy.http.ingress.downstream_cx_active:")]
        self.assertEqual(gauges[-1], "envoy.http.ingress.downstream_cx_active:0|g")


class SinksTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.plain, cls.named, cls.dog, cls.packed = (Collector(cls.sandbox) for _ in range(4))

        def sink(kind: str, collector: Collector, **fields: Any) -> dict:
            return {"name": "envoy.stat_sinks." + kind, "typed_config": {
                "@type": _TYPE + ("StatsdSink" if kind == "statsd" else "DogStatsdSink"), "address": udp(collector.port), **fields}}

        config = bootstrap([http_listener(cls.port, [route({"prefix": "/"}, "echo")])], [cluster("echo", cls.echo.port)])
        config["stats_flush_interval"] = "0.1s"
        config["stats_sinks"] = [sink("statsd", cls.plain), sink("statsd", cls.named, prefix="mine"), sink("dog_statsd", cls.dog, prefix="d"),
                                 sink("dog_statsd", cls.packed, max_bytes_per_datagram=500)]
        cls.weir = Weir(cls.sandbox, config, concurrency=2)
        for _ in range(5):
            fetch(cls.port)

    # field: Address@collector.socket_address, SocketAddress@collector.address, SocketAddress@collector.port_value
    # field: SocketAddress@collector.protocol
    # field: Bootstrap.stats_sinks, StatsSink.name, StatsSink.typed_config, StatsdSink.address, Bootstrap.stats_flush_interval
    def test_counters_come_as_what_has_come(self) -> None:
        name = "envoy.cluster.echo.upstream_rq_total:"
        self.plain.wait(lambda _: self.plain.sum(name) >= 5, "the first requests")
        before = self.plain.sum(name)
        for _ in range(3):
            fetch(self.port)
        self.plain.wait(lambda _: self.plain.sum(name) == before + 3, "three more, no more")
        self.weir.wait_stat("server.stats_flushes", self.weir.stat("server.stats_flushes") + 2)
        self.assertEqual(self.plain.sum(name), before + 3)
        self.assertGreater(self.weir.stat("stats_sink.statsd.sent"), 0)

    def test_gauges_and_histograms(self) -> None:
        self.plain.wait(lambda lines: "envoy.cluster.echo.membership_total:1|g" in lines, "the gauge")
        self.plain.wait(lambda lines: any(re.fullmatch(r"envoy\.cluster\.echo\.upstream_rq_time:\d+\|ms(\|@[0-9.e-]+)?", line)
                                          for line in lines), "the histogram")
        self.assertTrue(all(len(one) <= 1432 for one in self.plain.datagrams))
        self.assertTrue(any("\n" in one for one in self.plain.datagrams))

    # field: StatsdSink.prefix
    def test_prefix(self) -> None:
        self.named.wait(lambda _: self.named.sum("mine.cluster.echo.upstream_rq_total:") >= 5, "the requests")
        self.assertTrue(all(line.startswith("mine.") for line in self.named.lines()))

    # field: DogStatsdSink.address, DogStatsdSink.prefix
    def test_tags(self) -> None:
        self.dog.wait(lambda lines: any(line.startswith("d.cluster.upstream_rq_total:") and line.endswith("|c|#envoy_cluster_name:echo")
                                        for line in lines), "the tagged counter")
        self.assertTrue(all("\n" not in one for one in self.dog.datagrams), "one for each")

    # field: DogStatsdSink.max_bytes_per_datagram
    def test_datagrams_of_several(self) -> None:
        self.packed.wait(lambda lines: len(lines) > 20, "lines")
        self.assertTrue(any("\n" in one for one in self.packed.datagrams))
        self.assertLessEqual(max(len(one) for one in self.packed.datagrams), 500)

    def test_intervals_of_histograms(self) -> None:
        def quantiles() -> list[str]:
            page = self.weir.admin("/stats?filter=cluster.echo.upstream_rq_time")
            return re.findall(r"P50\(([^,]*),", page)

        def sent() -> bool:
            fetch(self.port)
            return quantiles()[:1] not in ([], ["nan"])

        wait_until(sent, "an interval with values")
        wait_until(lambda: quantiles() == ["nan"], "an interval without")

    def test_buckets(self) -> None:
        page = self.weir.admin("/stats?filter=cluster.echo.upstream_rq_time&histogram_buckets=cumulative")
        counts = [int(one) for one in re.findall(r"B[0-9.]+\(\d+,(\d+)\)", page)]
        self.assertEqual(counts, sorted(counts))
        self.assertGreaterEqual(counts[-1], 5)
        answer = self.weir.admin_json("/stats?filter=cluster.echo.upstream_rq_time&histogram_buckets=disjoint&format=json")
        buckets = next(one for one in answer["stats"] if "histograms" in one)["histograms"][0]["buckets"]
        self.assertGreaterEqual(sum(one["cumulative"] for one in buckets), 5)
        self.assertEqual(buckets[0]["upper_bound"], 0.5)


class TcpCollector:
    """Accepts connections and reads lines, as long as it is told to."""

    def __init__(self, sandbox: Any, port: int = 0) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen()
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self._texts: list[bytes] = []
        sandbox.at_close(self.close)

    def close(self) -> None:
        for one in [self._listener, *self.connections]:
            one.close()
        self.connections = []

    def lines(self) -> list[str]:
        try:
            while True:
                self.connections.append(self._listener.accept()[0])
                self.connections[-1].setblocking(False)
                self._texts.append(b"")
        except BlockingIOError:
            pass
        for i, one in enumerate(self.connections):
            try:
                while more := one.recv(65536):
                    self._texts[i] += more
            except BlockingIOError:
                pass
        # The last line of each may not be there yet.
        return [line.decode() for text in self._texts for line in text.split(b"\n")[:-1]]

    def wait(self, wanted: Callable[[list[str]], bool], what: str) -> None:
        wait_until(lambda: wanted(self.lines()), what)

    def sum(self, start: str) -> int:
        return sum(int(line[len(start):].split("|")[0]) for line in self.lines() if line.startswith(start))


class TcpSinkTest(WeirTestCase):
    """statsd over TCP: the collector is a cluster."""

    def weir_with(self, port: int) -> Weir:
        self.echo = EchoUpstream(self.sandbox)
        self.port = self.sandbox.free_port()
        config = bootstrap([http_listener(self.port, [route({"prefix": "/"}, "echo")])],
                           [cluster("echo", self.echo.port), cluster("collector", port)])
        config["stats_flush_interval"] = "0.1s"
        config["stats_sinks"] = [{"name": "tcp", "typed_config": {
            "@type": _TYPE + "StatsdSink", "tcp_cluster_name": "collector", "prefix": "t"}}]
        return Weir(self.sandbox, config, concurrency=1)

    # field: StatsdSink.tcp_cluster_name
    def test_lines_over_one_connection(self) -> None:
        collector = TcpCollector(self.sandbox)
        weir = self.weir_with(collector.port)
        for _ in range(5):
            fetch(self.port)
        name = "t.cluster.echo.upstream_rq_total:"
        collector.wait(lambda _: collector.sum(name) == 5, "the requests")
        collector.wait(lambda lines: "t.cluster.echo.membership_total:1|g" in lines, "the gauge")
        for _ in range(3):
            fetch(self.port)
        collector.wait(lambda _: collector.sum(name) == 8, "three more, no more")
        self.assertTrue(all(re.fullmatch(r"t\.[^:|@]+:-?\d+\|(c|g|ms|h)(\|@[0-9.e-]+)?", line) for line in collector.lines()))
        self.assertEqual(len(collector.connections), 1)
        self.assertGreater(weir.stat("stats_sink.statsd.lines_sent"), 0)
        self.assertEqual(weir.stat("stats_sink.statsd.lines_dropped"), 0)
        self.assertEqual(weir.stat("cluster.collector.upstream_cx_active"), 1)
        weir.stop()

    def test_a_collector_that_comes_back(self) -> None:
        first = TcpCollector(self.sandbox)
        weir = self.weir_with(first.port)
        first.wait(lambda lines: len(lines) > 0, "lines")
        first.close()
        wait_until(lambda: weir.stat("cluster.collector.upstream_cx_connect_fail") >= 1, "somebody missed")
        for _ in range(4):
            fetch(self.port)
        second = TcpCollector(self.sandbox, first.port)
        second.wait(lambda _: second.sum("t.cluster.echo.upstream_rq_total:") == 4, "what came meanwhile")
        weir.stop()

    def test_nobody_listens(self) -> None:
        """Requests do not wait for a collector, nor does the end."""
        weir = self.weir_with(self.sandbox.free_port())
        for _ in range(3):
            self.assertEqual(fetch(self.port).status, 200)
        wait_until(lambda: weir.stat("cluster.collector.upstream_cx_connect_fail") >= 2, "two attempts")
        weir.stop()


class FlushOnAskingTest(WeirTestCase):
    # field: Bootstrap.stats_flush_on_admin
    def test_only_when_asked(self) -> None:
        collector = Collector(self.sandbox)
        config = bootstrap([])
        config["stats_flush_on_admin"] = True
        config["stats_sinks"] = [{"name": "s", "typed_config": {"@type": _TYPE + "StatsdSink", "address": address(collector.port)}}]
        weir = Weir(self.sandbox, config, concurrency=1)
        weir.admin("/stats")
        collector.wait(lambda lines: len(lines) > 0, "lines")
        time.sleep(0.2)
        before = len(collector.lines())
        time.sleep(0.5)
        self.assertEqual(len(collector.lines()), before)
        weir.admin("/stats")
        collector.wait(lambda lines: len(lines) > before, "more lines")


class ManyClustersTest(WeirTestCase):
    """A scrape that would be large."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        clusters = [cluster("c%02d" % number, cls.echo.port) for number in range(30)]
        routes = [route({"prefix": "/" + one["name"]}, one["name"]) for one in clusters]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, routes)], clusters), concurrency=1)
        for one in clusters:
            fetch(cls.port, "/" + one["name"])

    def series(self, page: str, name: str) -> dict[str, int]:
        return {labels: int(value) for labels, value in re.findall(r"^%s\{([^}]*)\} (-?\d+)$" % name, page, re.M)}

    def test_the_rest_is_one_series(self) -> None:
        everything = self.series(self.weir.admin("/stats/prometheus"), "envoy_cluster_upstream_rq_total")
        self.assertEqual(len(everything), 30)
        page = self.weir.admin("/stats/prometheus?series_limit=10")
        some = self.series(page, "envoy_cluster_upstream_rq_total")
        self.assertEqual(len(some), 11)
        self.assertEqual(some['envoy_cluster_name="other"'], 20)
        self.assertEqual(some['envoy_cluster_name="c03"'], 1)
        self.assertEqual(sum(some.values()), sum(everything.values()))
        gauges = self.series(page, "envoy_cluster_membership_total")
        self.assertEqual(gauges['envoy_cluster_name="other"'], 20)
        counts = self.series(page, "envoy_cluster_upstream_rq_time_count")
        self.assertEqual(counts['envoy_cluster_name="other"'], 20)
        buckets = self.series(page, "envoy_cluster_upstream_rq_time_bucket")
        self.assertEqual(buckets['envoy_cluster_name="other",le="+Inf"'], 20)
        self.assertIn("# TYPE envoy_server_uptime gauge\nenvoy_server_uptime{}", page)

    def test_scrapes_side_by_side(self) -> None:
        """And a client that leaves while its page is written."""
        import threading
        pages: list[str] = []
        threads = [threading.Thread(target=lambda: pages.append(self.weir.admin("/stats/prometheus"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", self.weir.admin_port)) as one:
                one.sendall(b"GET /stats/prometheus HTTP/1.1\r\nhost: localhost\r\n\r\n")
        for thread in threads:
            thread.join()
        self.assertEqual(len(pages), 8)
        for page in pages:
            self.assertEqual(len(self.series(page, "envoy_cluster_upstream_rq_total")), 30)

    def test_types(self) -> None:
        self.assertNotIn("membership_total", self.weir.admin("/stats?type=Counters"))
        self.assertIn("cluster.c01.membership_total: 1", self.weir.admin("/stats?type=Gauges"))
        self.assertEqual(self.weir.admin("/stats?type=TextReadouts"), "")
        self.assertIn("upstream_rq_time", self.weir.admin("/stats?type=Histograms&usedonly"))
        self.assertEqual(json.loads(self.weir.admin("/stats?type=Histograms&usedonly&filter=nothing&format=json")), {"stats": []})


class PrometheusMessagesTest(WeirTestCase):
    """What a Prometheus server that knows native histograms asks for."""
    ACCEPT = MEDIA_TYPE.replace(" ", "") + ",application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [route({"prefix": "/"}, "echo")])],
                                               [cluster("echo", cls.echo.port), cluster("idle", cls.echo.port)]), concurrency=2)
        for _ in range(20):
            fetch(cls.port)
        cls.weir.wait_stat("cluster.echo.upstream_rq_completed", 20)

    def scrape(self, path: str, accept: str = ACCEPT) -> tuple[str, bytes]:
        request = urllib.request.Request("http://%s%s" % (self.weir.admin_address, path), headers={"accept": accept})
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.headers["content-type"], response.read()

    def test_messages_say_what_text_says(self) -> None:
        kind, data = self.scrape("/stats/prometheus?filter=^cluster\\.echo")
        self.assertEqual(kind, MEDIA_TYPE)
        found = families(data)
        text = self.weir.admin("/stats/prometheus?filter=^cluster\\.echo")
        types = dict(re.findall(r"# TYPE (\S+) (\S+)", text))
        self.assertEqual(set(found), set(types))
        for name, family in found.items():
            self.assertEqual(family.type, {"counter": COUNTER, "gauge": GAUGE, "histogram": HISTOGRAM}[types[name]], name)
            if family.type == HISTOGRAM:
                continue
            series = {tuple(re.findall(r'(\w+)="([^"]*)"', labels)): float(value)
                      for labels, value in re.findall(r"^%s\{(.*)\} (\S+)$" % name, text, re.M)}
            self.assertEqual(series, {tuple(labels_of(metric).items()): metric.counter.value + metric.gauge.value
                                      for metric in family.metric}, name)
        times = found["envoy_cluster_upstream_rq_time"].metric[0]
        self.assertEqual(labels_of(times), {"envoy_cluster_name": "echo"})
        self.assertEqual(times.histogram.sample_count, 20)
        self.assertEqual([bucket.upper_bound for bucket in times.histogram.bucket][:3], [0.5, 1, 5])
        self.assertEqual(times.histogram.zero_threshold, 0, "a classic one")

    def test_native_histograms(self) -> None:
        kind, data = self.scrape("/stats/prometheus?histogram_buckets=prometheusnative")
        self.assertEqual(kind, MEDIA_TYPE)
        histograms = {labels_of(metric)["envoy_cluster_name"]: metric.histogram
                      for metric in families(data)["envoy_cluster_upstream_rq_time"].metric}
        times = histograms["echo"]
        self.assertEqual((times.schema, times.sample_count, len(times.bucket)), (4, 20, 0))
        self.assertEqual(sum(count for _, count in native_buckets(times)), 20)
        # A histogram of the kind all the same: a server must not take it for a classic one without buckets.
        self.assertEqual((histograms["idle"].sample_count, len(histograms["idle"].positive_span)), (0, 0))
        self.assertGreater(histograms["idle"].zero_threshold, 0)
        sizes = [len(self.scrape("/stats/prometheus?type=Histograms&histogram_buckets=" + buckets)[1])
                 for buckets in ("prometheusnative", "cumulative")]
        self.assertLess(sizes[0], sizes[1] / 2)

    def test_text_for_those_who_want_text(self) -> None:
        for accept in ("text/plain", "*/*", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"):
            kind, data = self.scrape("/stats/prometheus?histogram_buckets=prometheusnative&filter=upstream_rq_time", accept)
            self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
            self.assertIn(b'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="echo",le="+Inf"} 20\n', data)

    def test_the_rest_of_the_query_means_the_same(self) -> None:
        found = families(self.scrape("/stats/prometheus?usedonly&filter=^cluster&series_limit=1")[1])
        names = {labels_of(metric).get("envoy_cluster_name") for metric in found["envoy_cluster_membership_total"].metric}
        self.assertEqual(names, {"echo", "other"})
        self.assertNotIn("envoy_cluster_upstream_cx_overflow", found)


if __name__ == "__main__":
    main()
