"""Which filter chain serves a connection, and what becomes of connections when chains come and go."""

import os
import signal
import socket
from typing import Any, Optional

from harness import (Connection, Weir, WeirTestCase, bootstrap, direct, file_access_log, http_listener, main, to_yaml,
                     wait_line)

INPUTS = "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3."
STRING = "type.googleapis.com/google.protobuf.StringValue"
INSPECTOR = {"name": "http_inspector", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}


def chain(name: str, match: Optional[dict] = None, body: str = "") -> dict[str, Any]:
    """A chain that answers with its name."""
    made = http_listener(0, [direct({"prefix": "/"}, body or name)],
                         http_protocol_options={"accept_http_10": True})["filter_chains"][0]
    made["name"] = name
    if match is not None:
        made["filter_chain_match"] = match
    return made


def listener(port: int, chains: list[dict], name: str = "in", host: str = "127.0.0.1", **fields: Any) -> dict[str, Any]:
    made = {**http_listener(port, [], name=name), "filter_chains": chains, **fields}
    made["address"]["socket_address"]["address"] = host
    return made


def prefix(address: str, bits: int) -> dict:
    return {"address_prefix": address, "prefix_len": bits}


def ask(port: int, to: str = "127.0.0.1", source: str = "127.0.0.1", source_port: int = 0, version: str = "1.1") -> str:
    """The name of the chain; empty if the connection is closed without an answer."""
    with socket.socket() as sock:
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((source, source_port))
        sock.connect((to, port))
        try:
            sock.sendall(("GET / HTTP/%s\r\nhost: a\r\nconnection: close\r\n\r\n" % version).encode())
            answer = b""
            while data := sock.recv(65536):
                answer += data
        except ConnectionError:
            return ""
        return answer.rpartition(b"\r\n\r\n")[2].decode()


class FilterChainMatchTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.port, cls.source_port, cls.none, cls.inspected = (cls.sandbox.free_port() for _ in range(4))
        cls.log = cls.sandbox.path("none.log")
        cls.weir = Weir(cls.sandbox, bootstrap([
            listener(cls.port, [
                chain("any"),
                chain("port", {"destination_port": cls.port, "prefix_ranges": [prefix("127.0.1.0", 24)]}),
                chain("range", {"destination_port": cls.port, "prefix_ranges": [prefix("127.0.0.0", 16)]}),
                chain("source", {"destination_port": cls.port, "prefix_ranges": [prefix("127.0.0.0", 16)],
                                 "source_prefix_ranges": [prefix("127.0.0.9", 32)]}),
                chain("source port", {"destination_port": cls.port, "prefix_ranges": [prefix("127.0.0.0", 16)],
                                      "source_prefix_ranges": [prefix("127.0.0.9", 32)], "source_ports": [cls.source_port]}),
                chain("direct", {"destination_port": cls.port, "prefix_ranges": [prefix("127.0.0.0", 16)],
                                 "direct_source_prefix_ranges": [prefix("127.0.0.8", 32)]}),
            ], host="0.0.0.0", default_filter_chain=chain("default")),
            listener(cls.none, [
                chain("elsewhere", {"source_prefix_ranges": [prefix("10.0.0.0", 8)]}),
                chain("outside", {"source_type": "EXTERNAL"}),
                chain("named", {"server_names": ["a.example"], "transport_protocol": "tls"}),
                chain("inside", {"source_type": "SAME_IP_OR_LOOPBACK", "source_prefix_ranges": [prefix("127.0.0.7", 32)]}),
            ], name="none", access_log=[file_access_log(cls.log, "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %FILTER_CHAIN_NAME%\n")]),
            listener(cls.inspected, [
                chain("new", {"application_protocols": ["http/1.1"], "transport_protocol": "raw_buffer"}),
                chain("old", {"application_protocols": ["http/1.0"], "transport_protocol": "raw_buffer"}),
                chain("tls", {"transport_protocol": "tls"}),
            ], name="inspected", listener_filters=[INSPECTOR], default_filter_chain=chain("other"))]))

    # field: Listener.filter_chains, FilterChain.filter_chain_match, Listener.default_filter_chain
    # field: FilterChainMatch.destination_port, FilterChainMatch.prefix_ranges, FilterChainMatch.source_prefix_ranges
    # field: FilterChainMatch.source_ports, FilterChainMatch.direct_source_prefix_ranges
    def test_the_most_specific_one(self) -> None:
        self.assertEqual(ask(self.port), "range")
        self.assertEqual(ask(self.port, to="127.0.1.5"), "port")
        self.assertEqual(ask(self.port, to="127.0.0.5", source="127.0.0.9"), "source")
        self.assertEqual(ask(self.port, source="127.0.0.9", source_port=self.source_port), "source port")
        self.assertEqual(ask(self.port, source="127.0.0.8"), "direct")
        # The port has decided against "any", which does not come back.
        self.assertEqual(ask(self.port, to="127.9.0.1"), "default")

    # field: FilterChainMatch.source_type
    def test_none(self) -> None:
        before = self.weir.stat("listener.127.0.0.1_%d.no_filter_chain_match" % self.none)
        self.assertEqual(ask(self.none), "")
        self.assertEqual(ask(self.none, source="127.0.0.7"), "inside")
        self.weir.wait_stat_is("listener.127.0.0.1_%d.no_filter_chain_match" % self.none, before + 1)
        self.assertEqual(wait_line(self.log, "NR"), "NR filter_chain_not_found -")
        self.assertEqual(wait_line(self.log, "- - inside"), "- - inside")

    # field: FilterChainMatch.application_protocols, FilterChainMatch.transport_protocol, Listener.listener_filters
    def test_by_what_a_listener_filter_found(self) -> None:
        self.assertEqual(ask(self.inspected), "new")
        self.assertEqual(ask(self.inspected, version="1.0"), "old")
        self.assertTrue(self.weir.stat("http_inspector.http10_found") >= 1)
        with Connection(self.inspected) as connection:
            connection.send(b"(no HTTP)\r\n\r\n")
            self.assertEqual(connection.read_response().status, 400)
        self.weir.wait_stat("http_inspector.http_not_found", 1)


class MatcherTest(WeirTestCase):
    """filter_chain_matcher."""

    @classmethod
    def set_up(cls) -> None:
        cls.port = cls.sandbox.free_port()

        def to(name: str) -> dict:
            return {"action": {"name": name, "typed_config": {"@type": STRING, "value": name}}}

        def value(name: str) -> dict:
            return {"name": name, "typed_config": {"@type": INPUTS + name}}

        by_source = {"matcher_tree": {"input": value("SourceIPInput"), "custom_match": {"name": "ip", "typed_config": {
            "@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher", "range_matchers": [
                {"ranges": [prefix("127.0.0.0", 8)], "on_match": to("loopback")},
                {"ranges": [prefix("127.5.0.0", 16)], "on_match": to("five")}]}}}}
        by_port = {"matcher_tree": {"input": value("DestinationPortInput"), "exact_match_map": {"map": {
            str(cls.port): {"matcher": by_source}}}}}
        matcher = {"matcher_list": {"matchers": [
            {"predicate": {"single_predicate": {"input": value("DestinationIPInput"), "value_match": {"exact": "127.0.0.2"}}},
             "on_match": to("two")},
            {"predicate": {"single_predicate": {"input": value("DestinationIPInput"), "value_match": {"exact": "127.0.0.3"}}},
             "on_match": {"matcher": {"matcher_tree": {"input": value("SourceTypeInput"), "exact_match_map": {"map": {
                 "remote": to("two")}}}}}},
            {"predicate": {"single_predicate": {"input": value("ApplicationProtocolInput"), "value_match": {"exact": "'http/1.0'"}}},
             "on_match": to("old")}]},
            "on_no_match": {"matcher": by_port}}
        cls.weir = Weir(cls.sandbox, bootstrap([listener(
            cls.port, [chain(name) for name in ("two", "old", "loopback", "five")], host="0.0.0.0", listener_filters=[INSPECTOR],
            filter_chain_matcher=matcher, default_filter_chain=chain("default"))]))

    # field: Listener.filter_chain_matcher
    def test_the_tree_decides(self) -> None:
        self.assertEqual(ask(self.port), "loopback")
        self.assertEqual(ask(self.port, source="127.5.1.1"), "five")
        self.assertEqual(ask(self.port, to="127.0.0.2"), "two")
        self.assertEqual(ask(self.port, version="1.0"), "old")


class UpdateTest(WeirTestCase):
    """Chains that stay keep their connections and their routes, whatever comes beside them."""

    @classmethod
    def set_up(cls) -> None:
        cls.port = cls.sandbox.free_port()
        cls.nine = {"source_prefix_ranges": [prefix("127.0.0.9", 32)]}
        cls.weir = Weir(cls.sandbox, bootstrap([listener(cls.port, [chain("", body="one"), chain("nine", cls.nine)])]),
                        arguments=["--drain-time-s", "1", "--drain-strategy", "immediate"])

    def apply(self, chains: list[dict], **fields: Any) -> None:
        done = self.weir.stat("server.config_reload_success")
        with open(self.weir.config_path + ".next", "w", encoding="utf-8") as file:
            file.write(to_yaml(bootstrap([listener(self.port, chains, **fields)])) + "\n")
        os.rename(self.weir.config_path + ".next", self.weir.config_path)
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", done + 1)

    def test_a_chain_that_stays_goes_on_counting(self) -> None:
        limited = chain("limited", {"source_prefix_ranges": [prefix("127.0.0.10", 32)]})
        limited["filters"].insert(0, {"name": "limit", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            "stat_prefix": "limit", "max_connections": 1}})
        self.apply([limited, chain("", body="one")])
        with Connection(self.port, source="127.0.0.10") as connection:
            self.assertEqual(connection.request().text, "limited")
            self.assertEqual(ask(self.port, source="127.0.0.10"), "")
            self.apply([chain("", body="two"), limited, chain("nine", self.nine)])
            self.assertEqual(ask(self.port), "two")
            self.assertEqual(ask(self.port, source="127.0.0.10"), "")

    def test_a_chain_in_front(self) -> None:
        with Connection(self.port) as connection:
            self.assertEqual(connection.request().text, "one")
            new = chain("eight", {"source_prefix_ranges": [prefix("127.0.0.8", 32)]})
            self.apply([new, chain("nine", self.nine, body="nine again"), chain("", body="one more")])
            # Its routes have changed with the update and are its own; the connection goes on.
            response = connection.request()
            self.assertEqual((response.text, response.header("connection")), ("one more", None))
            self.assertEqual(ask(self.port, source="127.0.0.8"), "eight")
            self.assertEqual(ask(self.port, source="127.0.0.9"), "nine again")
            # With another match it is another chain.
            self.apply([new, chain("", {"source_type": "SAME_IP_OR_LOOPBACK"}, body="local")])
            self.assertEqual(ask(self.port), "local")
            self.assertEqual(connection.request().header("connection"), "close")


if __name__ == "__main__":
    main()
