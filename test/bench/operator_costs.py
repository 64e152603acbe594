"""What operating a large configuration costs: a scrape of 10,000 clusters, and 1,000 names that are asked for again and again."""

import http.client
import os
import socket
import struct
import threading
import time

import big_config
import harness
import peers

SCRAPES = 5
NAMES = 1000
DNS_SECONDS = 20


# A turn of a lane that takes longer is counted by weir itself, whose watchdog looks twice as often.
PAUSE_MS = 1
WATCHDOGS = "watchdogs: {main_thread_watchdog: {miss_timeout: 0.%03ds}, worker_watchdog: {miss_timeout: 0.%03ds}}\n" % (PAUSE_MS, PAUSE_MS)


def long_turns(admin_port):
    """How many there were so far, by lane."""
    connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=60)
    connection.request("GET", "/stats?filter=^(workers|main_thread).watchdog_miss$")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    counts = dict(line.split(": ") for line in lines)
    return {"worker": int(counts["workers.watchdog_miss"]), "main": int(counts["main_thread.watchdog_miss"])}


def waits_by_thread(pid):
    """Seconds for which threads could have run, and had no core."""
    return cpu_by_thread(pid, field=1)


def cpu_by_thread(pid, field=0):
    """Seconds of CPU by name of the thread."""
    spent = {}
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/comm" % (pid, task)) as file:
                name = file.read().strip()
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
                spent[name] = spent.get(name, 0) + int(file.read().split()[field]) / 1e9
        except FileNotFoundError:
            pass
    return spent


class Pulse:
    """Asks for the same small thing all the time; the longest answer is a pause of the lane that gives it, or the machine's."""

    def __init__(self, port, path):
        self.longest, self.path, self.stop = [], path, False
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stop:
            begin = time.monotonic()
            self.connection.request("GET", self.path)
            self.connection.getresponse().read()
            self.longest.append(time.monotonic() - begin)
            time.sleep(0.0005)

    def end(self):
        """p50 and the longest, in ms."""
        self.stop = True
        self.thread.join()
        times = sorted(self.longest)
        return times[len(times) // 2] * 1000, times[-1] * 1000


def scrape(session, options):
    peer = peers.make("weir", options)
    if peer.missing():
        return [], ["weir: skipped, " + peer.missing()]
    directory = session.new_dir("scrape")
    path = os.path.join(directory, "big.yaml")
    port, admin_port = session.free_port(), session.free_port()
    big_config.write(path, clusters=10_000, endpoints=10, routes=10_000, port=port, admin_port=admin_port)
    with open(path, "a") as file:
        file.write(WATCHDOGS)
    process = session.start_logged([options.weir, "-c", path, "--concurrency", "1", "-l", "error"],
                                   session.proxy_cores | session.load_cores, directory)
    try:
        harness.wait_listening(process, port, "weir", 60)
        time.sleep(2)
        rows = []
        for name, scraping in (("at rest", False), ("while scraped", True)):
            pulses = {"worker": Pulse(port, "/nothing"), "main": Pulse(admin_port, "/ready")}
            turns, waited = long_turns(admin_port), waits_by_thread(process.pid)
            before, size, begin = cpu_by_thread(process.pid), 0, time.monotonic()
            if scraping:
                for _ in range(SCRAPES):
                    connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=60)
                    connection.request("GET", "/stats/prometheus")
                    size = len(connection.getresponse().read())
                    connection.close()
            else:
                time.sleep(5)
            took = time.monotonic() - begin
            waited = waits_by_thread(process.pid).get("weir-1", 0) - waited.get("weir-1", 0)
            for lane, count in long_turns(admin_port).items():
                rows.append(("weir", "%s, turns of %s above %d ms" % (name, lane, PAUSE_MS), count - turns[lane], "", None))
            rows.append(("weir", "%s, worker waits for a core" % name, waited / took * 100, "%", None))
            for lane, pulse in pulses.items():
                median, longest = pulse.end()
                rows.append(("weir", "%s, answers of %s: p50" % (name, lane), median, "ms", None))
                rows.append(("weir", "%s, answers of %s: longest" % (name, lane), longest, "ms", None))
            if scraping:
                spent = {key: value - before.get(key, 0) for key, value in cpu_by_thread(process.pid).items()}
                rows.append(("weir", "a page", size / 2**20, "MiB", None))
                rows.append(("weir", "CPU of the thread beside the lanes, a scrape",
                             spent.get("weir-background", 0) / SCRAPES, "s", 1.5))
                rows.append(("weir", "wall time, a scrape", took / SCRAPES, "s", None))
        return rows, []
    finally:
        session.stop(process, 20)


def serve_names(sock, counts):
    """A name server that gives every name an address that lives for a minute."""
    while True:
        try:
            packet, peer = sock.recvfrom(512)
        except OSError:
            return
        end = packet.index(b"\0", 12) + 5
        kind = struct.unpack(">H", packet[end - 4:end - 2])[0]
        data = b"\x0a\0\0\1" if kind == 1 else bytes(15) + b"\1"
        counts.append(1)
        sock.sendto(packet[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + packet[12:end] + b"\xc0\x0c" +
                    struct.pack(">HHIH", kind, 1, 60, len(data)) + data, peer)


def names(session, options):
    """STRICT_DNS at the default rate, a question every 5 s for each."""
    peer = peers.make("weir", options)
    if peer.missing():
        return [], ["weir: skipped, " + peer.missing()]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    server.bind(("127.0.0.1", 0))
    counts = []
    threading.Thread(target=serve_names, args=(server, counts), daemon=True).start()
    directory = session.new_dir("names")
    path = os.path.join(directory, "names.yaml")
    port = session.free_port()
    with open(path, "w") as file:
        file.write("admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}\nstatic_resources:\n  clusters:\n" % port)
        for number in range(NAMES):
            file.write("  - {name: c%d, type: STRICT_DNS, dns_lookup_family: V4_ONLY, typed_dns_resolver_config: {name: c, typed_config: {"
                       "\"@type\": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, resolvers: ["
                       "{socket_address: {address: 127.0.0.1, port_value: %d}}]}}, load_assignment: {cluster_name: c%d, endpoints: ["
                       "{lb_endpoints: [{endpoint: {address: {socket_address: {address: n%d.example, port_value: 80}}}}]}]}}\n"
                       % (number, server.getsockname()[1], number, number))
    process = session.start_logged([options.weir, "-c", path, "--concurrency", "1", "-l", "error"],
                                   session.proxy_cores | session.load_cores, directory)
    try:
        harness.wait_listening(process, port, "weir", 60)
        time.sleep(3)
        before, asked, begin = cpu_by_thread(process.pid), len(counts), time.monotonic()
        time.sleep(DNS_SECONDS)
        took = time.monotonic() - begin
        spent = sum(cpu_by_thread(process.pid).values()) - sum(before.values())
        return [("weir", "%d names, questions" % NAMES, (len(counts) - asked) / took, "/s", None),
                ("weir", "%d names, of a core" % NAMES, spent / took * 100, "%", 1)], []
    finally:
        session.stop(process, 10)
        server.close()
