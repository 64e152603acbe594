"""Random traffic over whole connections, between real sockets, with everything switched on (chaos/): whatever clients, servers and
reloads do, weir goes on, keeps nothing of it, and serves the next one who behaves.

WEIR_CHAOS_SEED: the only seed. WEIR_CHAOS_SECONDS: how long for each.
"""

import http.client
import os
import random
import re
import signal
import threading
import time

from chaos.clients import RandomClient
from chaos.configuration import PATHS, Configuration, Ports
from harness import Connection, Weir, WeirTestCase, fetch, main, sanitized, to_yaml, wait_until
from harness.http2_client import H2
from harness.process import Sandbox
from harness.tls import TlsConnection, client_context

SEEDS = [int(os.environ["WEIR_CHAOS_SEED"])] if "WEIR_CHAOS_SEED" in os.environ else [1, 2, 3]
SECONDS = float(os.environ.get("WEIR_CHAOS_SECONDS", 6))
CLIENTS = 24
MOST_MEMORY_KIB = 64 << 10
PAGES = ("/stats", "/stats?usedonly&format=json", "/stats/prometheus", "/config_dump", "/clusters", "/clusters?format=json",
         "/listeners", "/server_info", "/memory", "/certs", "/runtime", "/init_dump", "/contention")
ERROR = re.compile(r"\]\[(error|critical)\]")
# Gauges of the process, which are about other things than what it holds for somebody.
OTHER_GAUGES = re.compile(r"^(server\.(?!config_versions|total_connections)|http\.admin\.)")


def gauges(weir: Weir) -> dict[str, int]:
    lines = [line.partition(": ") for line in weir.admin("/stats?type=Gauges").split("\n") if line]
    return {name: int(value) for name, _, value in lines if not OTHER_GAUGES.search(name)}


class Chaos:
    """One process, and all who make life hard for it."""

    def __init__(self, sandbox: Sandbox, seed: int):
        self.seed = seed
        self.configuration = Configuration(sandbox, seed)
        self.weir = Weir(sandbox, self.configuration.number(0), arguments=["--component-log-level", "config:error"])
        self.connections = 0
        self.complaints: list[str] = []
        self._end = 0.0

    def run(self, seconds: float) -> None:
        """Returns when everybody is done, or the process has died."""
        self._end = time.monotonic() + seconds
        clients = [RandomClient(self.configuration.ports, self.seed, "client", i) for i in range(CLIENTS)]
        threads = [threading.Thread(target=self._connect, args=(client,)) for client in clients]
        threads += [threading.Thread(target=target) for target in (self._reloads, self._pages, self._pressure)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.connections = sum(client.connections for client in clients)
        self.complaints += [mixup for client in clients for mixup in client.mixups]

    def calm_down(self) -> None:
        """The first configuration again, and servers that behave."""
        for server in self.configuration.servers:
            server.calm_down()
        self.configuration.press(0)
        self._reload(0)
        self.weir.settle()

    def _going_on(self) -> bool:
        return time.monotonic() < self._end and self.weir.process.running()

    def _connect(self, client: RandomClient) -> None:
        while self._going_on():
            client.run_one()

    def _reloads(self) -> None:
        dice = random.Random(self.seed)
        number = 0
        while self._going_on():
            number += 1
            self._reload(number)
            time.sleep(dice.random())

    def _reload(self, number: int) -> None:
        path = self.weir.config_path
        with open(path + ".next", "w", encoding="utf-8") as file:
            file.write(to_yaml(self.configuration.number(number)) + "\n")
        os.rename(path + ".next", path)
        self.weir.process.signal(signal.SIGHUP)

    def _pressure(self) -> None:
        dice = random.Random(self.seed)
        while self._going_on():
            self.configuration.press(dice.choice((0, 0, 0, 0.6, 0.8, 1)))
            time.sleep(dice.random() * 0.3)

    def _pages(self) -> None:
        dice = random.Random(self.seed)
        while self._going_on():
            page = dice.choice(PAGES)
            try:
                self.weir.admin(page)
            except TimeoutError:
                pass  # a busy machine; whether it still answers is seen at the end
            except (OSError, http.client.HTTPException) as failure:
                self.complaints.append("%s: %r" % (page, failure))
            time.sleep(dice.random() * 0.1)


class ChaosTest(WeirTestCase):
    def test_seeds(self) -> None:
        for seed in SEEDS:
            with self.subTest(seed=seed):
                try:
                    self.survives(Chaos(self.sandbox, seed))
                except BaseException:
                    print("again with: WEIR_CHAOS_SEED=%d WEIR_CHAOS_SECONDS=%g tools/dev test integration_chaos" % (
                        seed, max(60, SECONDS)))
                    raise

    def survives(self, chaos: Chaos) -> None:
        weir = chaos.weir
        before, memory = gauges(weir), weir.process.resident_kib()
        chaos.run(SECONDS)
        if not weir.process.running():
            weir.stop()  # which says why
        chaos.calm_down()
        self.keeps_nothing(weir, before)
        self.serves(chaos.configuration.ports)
        self.keeps_nothing(weir, before)
        stats = weir.stats()
        grown = weir.process.resident_kib() - memory
        print("seed %d: %d connections, %d requests, %d reloads, memory %+.1f MiB" % (
            chaos.seed, chaos.connections, stats["http.ingress.downstream_rq_total"], stats["server.config_reload_success"],
            grown / 1024))
        if not sanitized():
            self.assertLess(grown, MOST_MEMORY_KIB)
        self.assertEqual(stats.get("server.config_reload_failure", 0), 0)
        self.assertEqual(chaos.complaints, [])
        self.assertEqual([line for line in weir.process.log().split("\n") if ERROR.search(line)], [])
        weir.stop()

    def keeps_nothing(self, weir: Weir, before: dict[str, int]) -> None:
        """Every gauge is what it was before the first client came."""
        def differences() -> dict[str, int]:
            return {name: value for name, value in gauges(weir).items() if value != before.get(name, 0)}

        try:
            wait_until(lambda: not differences(), "everybody has gone", 30)
        except AssertionError:
            self.assertEqual(differences(), {})

    def serves(self, ports: Ports) -> None:
        """Requests and tunnels of every kind."""
        for path in set(PATHS) - {"/short", "/post", "/gone"}:
            for port in ports.http:
                self.assertEqual(fetch(port, path).status, 200, path)
                with H2(port) as client:
                    self.asked(client, path)
            for port in ports.tls:
                with TlsConnection(port) as connection:
                    self.assertEqual(connection.request(path=path).status, 200, path)
                with H2(port, tls=client_context(alpn=["h2"])) as client:
                    self.asked(client, path)
        for path in ("/h1", "/h2", "/tls", "/auto", "/self", "/self2"):
            with Connection(ports.http[0]) as connection:
                answer = connection.request(path=path, headers=[("connection", "upgrade"), ("upgrade", "websocket")])
                self.assertEqual(answer.status, 101, path)
                self.echoes(connection)
            with H2(ports.http[0]) as client:
                self.tunnels(client, (":protocol", "websocket"), (":scheme", "http"), (":authority", "test.example"), (":path", path))
        for to in ("tcp", "h1", "h2"):
            with Connection(ports.http[0]) as connection:
                answer = connection.request("CONNECT", "a.example:443", "a.example:443", [("x-to", to)])
                self.assertEqual(answer.status, 200, to)
                self.echoes(connection)
            with H2(ports.http[0]) as client:
                self.tunnels(client, (":authority", "a.example:443"), ("x-to", to))
        for port in ports.tcp:
            with Connection(port) as connection:
                self.echoes(connection)

    def asked(self, client: H2, path: str) -> None:
        stream = client.request(path)
        client.until(stream)
        self.assertEqual(client.status(stream), "200", path)

    def tunnels(self, client: H2, *head: tuple[str, str]) -> None:
        client.h2.config.validate_outbound_headers = False
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [(":method", "CONNECT"), *head])
        client.h2.send_data(stream, b"hello", end_stream=True)
        client.flush()
        client.until(stream)
        self.assertEqual((client.status(stream), client.body(stream)), ("200", b"hello"), head)

    def echoes(self, connection: Connection) -> None:
        connection.send(b"hello")
        connection.half_close()
        self.assertEqual(connection.reader.until_closed(), b"hello")


if __name__ == "__main__":
    main()
