"""The overload manager: who says how much is used up, and what is done about it."""

import os
import subprocess
import threading
from typing import Any, Optional

import h2.events

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log,
                     http_listener, main, over_tls, route, to_yaml, wait_line, wait_until, weir_binary)
from harness.clusters import http2
from harness.config import server_tls
from harness.http2 import Http2Upstream
from harness.http2_client import H2
from harness.tls import Authority

MONITORS = "type.googleapis.com/envoy.extensions.resource_monitors."
INJECTED = "envoy.resource_monitors.injected_resource"
HEAP = "envoy.resource_monitors.fixed_heap"
CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"
RESET = "envoy.overload_actions.reset_high_memory_stream"
SCALE = "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig"


def monitor(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": MONITORS + kind, **config}}


def threshold(value: float, name: str = INJECTED) -> dict[str, Any]:
    return {"name": name, "threshold": {"value": value}}


def scaled(low: float, high: float, name: str = INJECTED) -> dict[str, Any]:
    return {"name": name, "scaled": {"scaling_threshold": low, "saturation_threshold": high}}


class OverloadTest(WeirTestCase):
    """Pressure is what a file says, unless a test is about a monitor."""

    count = 0

    def setUp(self) -> None:
        type(self).count += 1
        self.file = self.sandbox.path("pressure-%d" % self.count)
        self.say(0)
        self.port = self.sandbox.free_port()

    def say(self, pressure: Any) -> None:
        with open(self.file + ".new", "w", encoding="ascii") as file:
            file.write("%s\n" % pressure)
        os.rename(self.file + ".new", self.file)

    def config(self, actions: list[Any] = [], monitors: Optional[list[Any]] = None, points: list[Any] = [],
               more: list[Any] = [], **hcm: Any) -> dict[str, Any]:
        config = bootstrap([http_listener(self.port, [direct({"prefix": "/"}, "hello")], **hcm), *more])
        # With the default of 1 s every test would be a slow one.
        config["overload_manager"] = {
            "refresh_interval": "0.01s",
            "resource_monitors": monitors or [monitor(INJECTED, "injected_resource.v3.InjectedResourceConfig", filename=self.file)],
            **({"actions": actions} if actions else {}), **({"loadshed_points": points} if points else {})}
        return config

    def start(self, *arguments: Any, concurrency: int = 2, **fields: Any) -> Weir:
        return Weir(self.sandbox, self.config(*arguments, **fields), concurrency=concurrency)

    def set(self, weir: Weir, name: str, pressure: float, percent: int) -> None:
        self.say(pressure)
        weir.wait_stat_is("overload.%s.scale_percent" % name, percent)

    # field: OverloadManager.refresh_interval, OverloadManager.resource_monitors, ResourceMonitor.name
    # field: ResourceMonitor.typed_config, InjectedResourceConfig.filename
    # field: Bootstrap.overload_manager, OverloadManager.actions, OverloadAction.name, OverloadAction.triggers
    # field: Trigger.name, Trigger.threshold, ThresholdTrigger.value, HttpConnectionManager.append_local_overload
    def test_requests_are_refused(self) -> None:
        action = "envoy.overload_actions.stop_accepting_requests"
        log = self.sandbox.path("access-%d.log" % self.count)
        weir = self.start([{"name": action, "triggers": [threshold(0.9)]}], append_local_overload=True, access_log=[{
            "name": "envoy.access_loggers.file", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
                "log_format": {"text_format_source": {"inline_string": "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"}}}}])
        with Connection(self.port) as connection:
            self.assertEqual(connection.request().status, 200)
            self.set(weir, action, 0.95, 100)
            self.assertEqual(weir.stat("overload.%s.active" % action), 1)
            self.assertEqual(weir.stat("overload.%s.pressure" % INJECTED), 95)
            response = connection.request()
            self.assertEqual((response.status, response.text, response.header("x-envoy-local-overloaded")),
                             (503, "envoy overloaded", "true"))
            self.set(weir, action, 0.5, 0)
            self.assertEqual(connection.request().status, 200)
        self.assertEqual(weir.stat("http.ingress.downstream_rq_overload_close"), 1)
        wait_line(log, pattern="503 OM overload$")
        text = weir.process.log()
        self.assertEqual(text.count("overload: %s is in force (%s at 95 %%)" % (action, INJECTED)), 1)
        self.assertEqual(text.count("overload: %s is over (%s at 50 %%)" % (action, INJECTED)), 1)

    def test_the_header_is_only_sent_if_it_is_wanted(self) -> None:
        action = "envoy.overload_actions.stop_accepting_requests"
        weir = self.start([{"name": action, "triggers": [threshold(0.9)]}])
        self.set(weir, action, 1, 100)
        response = fetch(self.port)
        self.assertEqual((response.status, response.header("x-envoy-local-overloaded")), (503, None))

    # field: Trigger.scaled, ScaledTrigger.scaling_threshold, ScaledTrigger.saturation_threshold
    def test_some_requests_are_refused(self) -> None:
        action = "envoy.overload_actions.stop_accepting_requests"
        weir = self.start([{"name": action, "triggers": [scaled(0.5, 0.9)]}])
        self.set(weir, action, 0.7, 50)
        self.assertEqual(weir.stat("overload.%s.active" % action), 0)
        with Connection(self.port) as connection:
            refused = sum(connection.request().status == 503 for _ in range(400))
        self.assertTrue(100 < refused < 300, refused)  # 10 standard deviations
        self.set(weir, action, 0.9, 100)
        self.assertEqual(fetch(self.port).status, 503)
        self.set(weir, action, 0.5, 0)
        self.assertIn("overload: %s begins, by 50 %% (" % action, weir.process.log())

    def test_connections_end_with_their_response(self) -> None:
        action = "envoy.overload_actions.disable_http_keepalive"
        weir = self.start([{"name": action, "triggers": [threshold(0.9)]}])
        with Connection(self.port) as connection:
            self.assertIsNone(connection.request().header("connection"))
            self.set(weir, action, 1, 100)
            self.assertEqual(connection.request().header("connection"), "close")
            self.assertTrue(connection.closed_within(10))
        self.assertEqual(weir.stat("http.ingress.downstream_cx_overload_disable_keepalive"), 1)

    def test_connections_of_http2(self) -> None:
        action, requests = "envoy.overload_actions.disable_http_keepalive", "envoy.overload_actions.stop_accepting_requests"
        point = "envoy.load_shed_points.hcm_ondata_creating_codec"
        monitors = [monitor(INJECTED, "injected_resource.v3.InjectedResourceConfig", filename=self.file)]
        weir = self.start([{"name": action, "triggers": [scaled(0.2, 0.3)]}, {"name": requests, "triggers": [threshold(0.6)]}],
                          monitors, [{"name": point, "triggers": [threshold(0.9)]}], drain_timeout="0.2s")
        with H2(self.port, outlives_goaway=True) as client:
            client.until(client.request("/"))
            client.pump()
            self.assertEqual(client.goaways, [])
            self.set(weir, action, 0.3, 100)
            stream = client.request("/")
            client.until(stream)
            self.assertEqual(client.status(stream), "200")
            client.pump(2)
            self.assertEqual(client.goaways, [((1 << 31) - 1, 0), (3, 0)])
            self.assertEqual(client.sock.recv(1), b"")
        self.assertEqual(weir.stat("http.ingress.downstream_cx_overload_disable_keepalive"), 1)
        with H2(self.port, outlives_goaway=True) as client:
            self.set(weir, requests, 0.6, 100)
            stream = client.request("/")
            client.until(stream)
            self.assertEqual((client.status(stream), client.body(stream)), ("503", b"envoy overloaded"))
        self.say(0.95)
        weir.wait_stat("overload.%s.scale_percent" % point, 100)
        with H2(self.port) as client:
            self.assertEqual(client.pump(5), [])
            self.assertEqual(weir.stat("overload.%s.shed_load_count" % point), 1)

    # field: Listener.bypass_overload_manager
    def test_connections_wait(self) -> None:
        action = "envoy.overload_actions.stop_accepting_connections"
        beside = http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "beside")], name="beside")
        beside["bypass_overload_manager"] = True
        weir = self.start([{"name": action, "triggers": [threshold(0.9)]}], more=[beside])
        fetch(self.port)
        self.set(weir, action, 1, 100)
        weir.settle()  # the workers have heard of it
        with Connection(self.port) as connection:
            connection.send_request()
            before = weir.stat("listener.127.0.0.1_%d.downstream_cx_total" % self.port)
            self.assertEqual(fetch(beside["address"]["socket_address"]["port_value"]).text, "beside")
            self.assertFalse(connection.readable_within(0.3))
            self.assertEqual(weir.stat("listener.127.0.0.1_%d.downstream_cx_total" % self.port), before)
            self.set(weir, action, 0, 0)
            self.assertEqual(connection.read_response().status, 200)

    # field: Listener.bypass_overload_manager
    def test_requests_of_a_listener_that_bypasses_it(self) -> None:
        actions = ["envoy.overload_actions.stop_accepting_requests", "envoy.overload_actions.disable_http_keepalive"]
        port = self.sandbox.free_port()
        beside = {**http_listener(port, [direct({"prefix": "/"}, "beside")], name="beside"), "bypass_overload_manager": True}
        weir = self.start([{"name": name, "triggers": [threshold(0.9)]} for name in actions], more=[beside])
        fetch(self.port)
        for name in actions:
            self.set(weir, name, 1, 100)
        weir.settle()
        self.assertEqual(fetch(self.port).status, 503)
        with Connection(port) as connection:
            for _ in range(2):
                answer = connection.request()
                self.assertEqual((answer.status, answer.header("connection")), (200, None))
        with H2(port) as client:
            stream = client.request("/")
            client.until(stream)
            self.assertEqual(client.status(stream), "200")

    def test_connections_are_refused(self) -> None:
        action = "envoy.overload_actions.reject_incoming_connections"
        weir = self.start([{"name": action, "triggers": [threshold(0.9)]}])
        with Connection(self.port) as before:
            before.request()
            self.set(weir, action, 1, 100)
            with Connection(self.port) as connection:
                self.assertTrue(connection.closed_within(10))
            self.assertEqual(before.request().status, 200)
            weir.wait_stat_is("listener.127.0.0.1_%d.downstream_cx_overload_reject" % self.port, 1)
            self.set(weir, action, 0, 0)
            self.assertEqual(fetch(self.port).status, 200)

    # field: DownstreamConnectionsConfig.max_active_downstream_connections, Listener.ignore_global_conn_limit
    def test_a_limit_of_connections(self) -> None:
        beside = http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "beside")], name="beside")
        beside["ignore_global_conn_limit"] = True
        weir = self.start(monitors=[monitor(CONNECTIONS, "downstream_connections.v3.DownstreamConnectionsConfig",
                                            max_active_downstream_connections=2)], more=[beside])
        with Connection(self.port) as first, Connection(self.port) as second:
            self.assertEqual([first.request().status, second.request().status], [200, 200])
            with Connection(self.port) as third:
                self.assertTrue(third.closed_within(10))
            self.assertEqual(fetch(beside["address"]["socket_address"]["port_value"]).text, "beside")
            weir.wait_stat_is("overload.%s.pressure" % CONNECTIONS, 100)
            weir.wait_stat_is("listener.127.0.0.1_%d.downstream_global_cx_overflow" % self.port, 1)
        weir.wait_stat_is("overload.%s.pressure" % CONNECTIONS, 0)
        self.assertEqual(fetch(self.port).status, 200)

    def test_a_limit_of_connections_in_the_runtime(self) -> None:
        """It can change at any time; where there is a monitor of connections, that alone limits them."""
        key = "overload.global_downstream_max_connections"
        beside = http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "beside")], name="beside")
        beside["ignore_global_conn_limit"] = True
        config = self.config(more=[beside])
        config["layered_runtime"] = {"layers": [{"name": "static", "static_layer": {key: 2}}, {"name": "admin", "admin_layer": {}}]}
        weir = Weir(self.sandbox, config, concurrency=2)
        overflow = "listener.127.0.0.1_%d.downstream_global_cx_overflow" % self.port
        with Connection(self.port) as first, Connection(self.port) as second:
            self.assertEqual([first.request().status, second.request().status], [200, 200])
            with Connection(self.port) as third:
                self.assertTrue(third.closed_within(10))
            self.assertEqual(fetch(beside["address"]["socket_address"]["port_value"]).text, "beside")
            self.assertEqual(weir.stat(overflow), 1)
            weir.admin("/runtime_modify?%s=3" % key, "POST")
            with Connection(self.port) as third:
                self.assertEqual(third.request().status, 200)
        weir.stop()
        config["overload_manager"]["resource_monitors"] = [
            monitor(CONNECTIONS, "downstream_connections.v3.DownstreamConnectionsConfig", max_active_downstream_connections=3)]
        weir = Weir(self.sandbox, config, concurrency=2)
        with Connection(self.port) as first, Connection(self.port) as second, Connection(self.port) as third:
            self.assertEqual([one.request().status for one in (first, second, third)], [200] * 3)
        weir.stop()

    # field: FixedHeapConfig.max_heap_size_bytes
    def test_memory_of_the_heap(self) -> None:
        action = "envoy.overload_actions.shrink_heap"
        for size, percent in ((1000, 100), (1 << 50, 0)):
            self.port = self.sandbox.free_port()
            weir = self.start([{"name": action, "triggers": [threshold(0.9, HEAP)]}],
                              monitors=[monitor(HEAP, "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=size)])
            if not os.environ.get("WEIR_SANITIZE"):
                weir.wait_stat_is("overload.%s.scale_percent" % action, percent)
                if percent:
                    weir.wait_stat("overload.%s.shrink_count" % action, 1)
            weir.stop()

    # field: CgroupMemoryConfig.max_memory_bytes
    def test_memory_of_the_control_group(self) -> None:
        name = "envoy.resource_monitors.cgroup_memory"
        weir = self.start(monitors=[monitor(name, "cgroup_memory.v3.CgroupMemoryConfig", max_memory_bytes=1000)])
        # Above its limit, or there is no group, which is told once and counted.
        wait_until(lambda: weir.stat("overload.%s.pressure" % name) > 100 or weir.stat("overload.%s.failed_updates" % name) > 2,
                   "it is read")
        if weir.stat("overload.%s.failed_updates" % name):
            self.assertEqual(weir.process.log().count("overload: %s: the process is in no control group" % name), 1)

    # field: CpuUtilizationConfig.mode
    def test_processors(self) -> None:
        name = "envoy.resource_monitors.cpu_utilization"
        for mode, told in (("HOST", 0), ("CONTAINER", None)):
            self.port = self.sandbox.free_port()
            weir = self.start(monitors=[monitor(name, "cpu_utilization.v3.CpuUtilizationConfig", mode=mode)])
            wait_until(lambda: weir.stat("overload.%s.pressure" % name) > 0 or weir.stat("overload.%s.failed_updates" % name) > 2
                       or fetch(self.port).status != 200, "it is read", 30)
            failures = weir.stat("overload.%s.failed_updates" % name)
            if told == 0:
                self.assertEqual(failures, 0)
            elif failures:  # without a quota there is nothing to have used up
                self.assertRegex(weir.process.log(), "overload: %s: (the control group has no quota|the process is in no)" % name)
            weir.stop()

    def test_a_monitor_that_fails(self) -> None:
        action = "envoy.overload_actions.stop_accepting_requests"
        weir = self.start([{"name": action, "triggers": [threshold(0.9)]}])
        self.set(weir, action, 1, 100)
        self.say("nonsense")
        weir.wait_stat("overload.%s.failed_updates" % INJECTED, 3)
        self.assertEqual(fetch(self.port).status, 503)  # as it said last
        self.set(weir, action, 0, 0)
        self.assertEqual(weir.process.log().count("holds no number between 0 and 1"), 1)
        self.assertIn("overload: %s can be read again" % INJECTED, weir.process.log())

    # field: OverloadAction.typed_config, ScaleTimersOverloadActionConfig.timer_scale_factors, ScaleTimer.timer
    # field: ScaleTimer.min_timeout, ScaleTimer.min_scale
    def test_timeouts_are_reduced(self) -> None:
        action = "envoy.overload_actions.reduce_timeouts"
        authority = Authority(self.sandbox)
        tls = http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "tls")], name="tls")
        over_tls(tls, server_tls(authority.issue("a.example")))
        tls["filter_chains"][0]["transport_socket_connect_timeout"] = "1000s"
        weir = self.start([{"name": action, "triggers": [scaled(0.5, 1)], "typed_config": {"@type": SCALE, "timer_scale_factors": [
            {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "0.2s"},
            {"timer": "HTTP_DOWNSTREAM_STREAM_IDLE", "min_scale": {"value": 0.1}},
            {"timer": "TRANSPORT_SOCKET_CONNECT", "min_timeout": "0.2s"}]}}], more=[tls],
            common_http_protocol_options={"idle_timeout": "1000s"}, stream_idle_timeout="200s")
        with Connection(self.port) as idle, Connection(self.port) as body:
            self.assertEqual(idle.request().status, 200)
            body.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n")  # its head does not end
            self.assertFalse(idle.readable_within(0.5))
            self.set(weir, action, 1, 100)
            # Those that run already, too.
            self.assertTrue(idle.closed_within(10))
            self.assertTrue(body.readable_within(10))
            tls_port = tls["address"]["socket_address"]["port_value"]
            with Connection(tls_port) as silent:
                self.assertTrue(silent.closed_within(10))
        weir.wait_stat_is("http.ingress.downstream_cx_idle_timeout", 1)
        weir.wait_stat_is("listener.127.0.0.1_%d.downstream_cx_transport_socket_connect_timeout" % tls_port, 1)
        # Half-way it is 500 s, which nobody sees.
        self.set(weir, action, 0.75, 50)
        with Connection(self.port) as idle:
            idle.request()
            self.assertFalse(idle.readable_within(0.5))

    # field: OverloadManager.loadshed_points, LoadShedPoint.name, LoadShedPoint.triggers
    def test_load_shed_points(self) -> None:
        names = {"accept": "envoy.load_shed_points.tcp_listener_accept",
                 "headers": "envoy.load_shed_points.http_connection_manager_decode_headers",
                 "codec": "envoy.load_shed_points.hcm_ondata_creating_codec",
                 "dispatch": "envoy.load_shed_points.http1_server_abort_dispatch"}
        for kind, name in names.items():
            self.port = self.sandbox.free_port()
            self.say(0)
            weir = self.start(points=[{"name": name, "triggers": [threshold(0.9)]}])
            with Connection(self.port) as connection:
                self.assertEqual(connection.request().status, 200)
                self.set(weir, name, 1, 100)
                if kind == "headers":
                    self.assertEqual(connection.request().text, "envoy overloaded")
                elif kind == "dispatch":
                    connection.send_request()
                    self.assertTrue(connection.closed_within(10))
                else:
                    self.assertEqual(connection.request().status, 200)
                    with Connection(self.port) as other:
                        if kind == "codec":
                            other.send_request()
                        self.assertTrue(other.closed_within(10))
            weir.wait_stat_is("overload.%s.shed_load_count" % name, 1)
            self.set(weir, name, 0, 0)
            self.assertEqual(fetch(self.port).status, 200)
            weir.stop()

    def test_load_shed_points_of_http2(self) -> None:
        """Clients are told to go: those of the first kind are served until they have gone, of the second nobody is."""
        for kind in ("http2_server_go_away_on_dispatch", "http2_server_go_away_and_close_on_dispatch"):
            name = "envoy.load_shed_points." + kind
            self.port = self.sandbox.free_port()
            self.say(0)
            log = self.sandbox.path("access-%s.log" % kind)
            echo = EchoUpstream(self.sandbox)
            config = self.config(points=[{"name": name, "triggers": [threshold(0.9)]}], drain_timeout="0.2s",
                                 access_log=[file_access_log(log, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")])
            manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            manager["route_config"]["virtual_hosts"][0]["routes"].insert(0, route({"path": "/held"}, "echo"))
            config["static_resources"]["clusters"] = [cluster("echo", echo.port)]
            weir = Weir(self.sandbox, config, concurrency=2)
            with Connection(self.port) as plain, H2(self.port, outlives_goaway=True) as client:
                self.assertEqual(plain.request().status, 200)
                client.until(client.request("/"))
                held = client.request("/held", headers=[("x-test-gate", "1")])
                wait_until(lambda: echo.requests, "it is on its way")
                self.set(weir, name, 1, 100)
                self.assertEqual(plain.request().status, 200)  # which is not one of HTTP/2
                if "close" in kind:
                    late = client.request("/")
                    client.pump(5)
                    self.assertEqual([code for _, code in client.goaways], [0])
                    self.assertEqual(client.of(late, h2.events.ResponseReceived), [])
                    self.assertIn("0 OM overload", wait_line(log, "0 OM"))
                else:
                    for _ in range(3):
                        stream = client.request("/")
                        client.until(stream)
                        self.assertEqual(client.status(stream), "200")
                    wait_until(lambda: client.pump(0.1) is None or len(client.goaways) == 2, "the second step")
                    echo.gate.set()
                    client.until(held)
                    self.assertEqual(client.status(held), "200")
                    client.pump(1)
                    self.assertEqual([code for _, code in client.goaways], [0, 0])
            weir.wait_stat_is("overload.%s.shed_load_count" % name, 1)
            weir.wait_stat_is("http.ingress.downstream_cx_protocol_error", 0)
            weir.wait_stat_is("http.ingress.downstream_cx_http2_active", 0)
            self.set(weir, name, 0, 0)
            with H2(self.port) as client:
                client.until(client.request("/"))
            weir.stop()

    def weighing(self, smallest: int, clusters: list[Any], routes: list[Any], interval: str = "0.01s") -> dict[str, Any]:
        config = self.config([{"name": RESET, "triggers": [scaled(0.5, 1)]}],
                             access_log=[file_access_log(self.file + ".log", "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% "
                                                                             "%RESPONSE_CODE_DETAILS%\n")])
        config["overload_manager"].update({"buffer_factory_config": {"minimum_account_to_track_power_of_two": smallest},
                                           "refresh_interval": interval})
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["virtual_hosts"][0]["routes"] = routes
        config["static_resources"]["clusters"] = clusters
        return config

    # field: OverloadManager.buffer_factory_config, BufferFactoryConfig.minimum_account_to_track_power_of_two
    def test_streams_that_hold_most_are_reset(self) -> None:
        """A response of about 1 MiB (2^20) that its client does not take: of classes from 2^16 on the fifth."""
        echo = EchoUpstream(self.sandbox)
        weir = Weir(self.sandbox, self.weighing(16, [cluster("echo", echo.port)], [route({"prefix": "/"}, "echo")]), concurrency=1)
        with H2(self.port) as client:
            held = client.request("/held", headers=[("x-test-gate", "1")])
            large = client.request("/large", headers=[("x-test-size", "30000000")])
            wait_until(lambda: (client.pump(0.05), len(client.body(large)) >= 65535)[1], "all that its window allows")
            self.set(weir, RESET, 0.6, 20)  # two classes, from 2^22 on
            self.assertEqual(client.pump(0.5), [])
            self.assertEqual(weir.stat(RESET + ".count"), 0)
            self.set(weir, RESET, 1, 100)
            reset = client.until(large, h2.events.StreamReset)
            self.assertEqual(reset.error_code, 11)  # ENHANCE_YOUR_CALM
            weir.wait_stat_is(RESET + ".count", 1)
            self.assertIn("/large 200 OM overload", wait_line(self.file + ".log", "/large"))
            client.h2.increment_flow_control_window(1 << 20)
            client.flush()
            echo.gate.set()
            client.until(held)  # which holds nothing
            self.assertEqual(client.status(held), "200")
        weir.wait_stat_is(RESET + ".count", 1)
        weir.wait_stat_is("cluster.echo.upstream_rq_active", 0)
        weir.wait_stat_is("http.ingress.downstream_rq_active", 0)

    def test_what_an_upstream_does_not_take_counts_too(self) -> None:
        upstream = ScriptedUpstream(self.sandbox, lambda connection: self.over.wait(60) and None, receive_buffer=4096)
        self.over = threading.Event()
        h2_upstream = Http2Upstream(self.sandbox)
        h2_upstream.acknowledges = False
        weir = Weir(self.sandbox, self.weighing(17, [cluster("h1", upstream.port), cluster("h2", h2_upstream.port, **http2())], [
            route({"prefix": "/h1"}, "h1"), route({"prefix": "/h2"}, "h2")]), concurrency=1)
        for count, path in ((1, "/h1"), (2, "/h2")):
            with H2(self.port) as client:
                client.pump(0.5)  # its SETTINGS
                stream = client.request(path, "POST", end=False)
                left = 8 << 20
                while left > 0:
                    room = min(left, client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size)
                    if room == 0:
                        break
                    client.h2.send_data(stream, b"x" * room)
                    client.flush()
                    left -= room
                self.set(weir, RESET, 1, 100)
                self.assertEqual(client.until(stream, h2.events.StreamReset).error_code, 11)
            weir.wait_stat_is(RESET + ".count", count)
            self.assertIn("%s 0 OM overload" % path, wait_line(self.file + ".log", path + " "))
            self.set(weir, RESET, 0, 0)
        weir.wait_stat_is("cluster.h2.http2.streams_active", 0)
        self.over.set()

    def test_only_so_many_streams_at_a_time(self) -> None:
        echo = EchoUpstream(self.sandbox)
        weir = Weir(self.sandbox, self.weighing(10, [cluster("echo", echo.port)], [route({"prefix": "/"}, "echo")], "1s"),
                    concurrency=1)
        with H2(self.port) as client:
            for _ in range(60):  # none of which fits into the window of the connection
                client.request("/", headers=[("x-test-size", "100000")])
            wait_until(lambda: (client.pump(0.05), sum(isinstance(event, h2.events.ResponseReceived) for event in client.events))[1]
                       == 60, "all of them are answered")
            self.say(1)
            weir.wait_stat(RESET + ".count", 50)
            self.assertEqual(weir.stat(RESET + ".count"), 50)
            weir.wait_stat_is(RESET + ".count", 60)

    def test_what_cannot_be_is_said(self) -> None:
        config = self.config([{"name": RESET, "triggers": [threshold(0.9)]},
                              {"name": "envoy.overload_actions.stop", "triggers": [threshold(0.9)]},
                              {"name": "envoy.overload_actions.shrink_heap", "triggers": [threshold(0.9, "heap"), scaled(0.9, 0.5)]},
                              {"name": "envoy.overload_actions.reduce_timeouts", "triggers": [threshold(0.9)]}],
                             points=[{"name": "envoy.load_shed_points.nowhere", "triggers": [threshold(0.9)]}])
        path = self.sandbox.write("wrong.yaml", to_yaml(config) + "\n")
        done = subprocess.run([weir_binary(), "--mode", "validate", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60)
        output = done.stdout.decode()
        self.assertEqual(done.returncode, 1, output)
        for text in ("actions[0].name: %s needs buffer_factory_config.minimum_account_to_track_power_of_two" % RESET,
                     "actions[1].name: \"envoy.overload_actions.stop\" is not one of envoy.overload_actions.stop_accepting_requests, ",
                     "triggers[0].name: \"heap\" is no monitor of resource_monitors, which has " + INJECTED,
                     "triggers[1].scaled: scaling_threshold has to be below saturation_threshold",
                     "actions[3].typed_config: is required: a ScaleTimersOverloadActionConfig says which",
                     "loadshed_points[0].name: \"envoy.load_shed_points.nowhere\" is not one of envoy.load_shed_points.tcp_"):
            self.assertIn(text, output)
        for power in (9, 57):
            path = self.sandbox.write("wrong.yaml", to_yaml(self.weighing(power, [], [direct({"prefix": "/"}, "x")])) + "\n")
            done = subprocess.run([weir_binary(), "--mode", "validate", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn("minimum_account_to_track_power_of_two: %d is out of range; allowed is 10 to 56" % power, done.stdout.decode())


if __name__ == "__main__":
    main()
