"""How long a large configuration takes, and what it costs: start, reload of one endpoint, a thousand reloads."""

import http.client
import json
import os
import re
import signal
import time

import big_config
import harness
import peers

SHAPE = {"clusters": 10_000, "endpoints": 10, "routes": 10_000}
SMALL = {"clusters": 100, "endpoints": 10, "routes": 100}


class Proxy:
    """weir with a generated file, which can be written anew and read again."""

    def __init__(self, session, options, shape, kind):
        self.session = session
        self.directory = session.new_dir("big-config")
        self.path = os.path.join(self.directory, "bootstrap." + kind)
        self.shape = dict(shape, port=session.free_port(), admin_port=session.free_port())
        big_config.write(self.path, **self.shape)
        self.bytes = os.path.getsize(self.path)
        begin = time.monotonic()
        self.process = session.start_logged([options.weir, "-c", self.path, "-l", "warning", "--concurrency", "2"],
                                            session.proxy_cores | session.load_cores, self.directory)
        while not self.serves():
            if self.process.poll() is not None or time.monotonic() - begin > 60:
                raise harness.BenchError("it does not serve: " + harness.last_words(self.process))
            time.sleep(0.002)
        self.ready_ms = (time.monotonic() - begin) * 1000

    def serves(self):
        """The route table answers: 404 for what no route takes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.shape["port"], timeout=60)
        try:
            connection.request("GET", "/nowhere")
            return connection.getresponse().status == 404
        except OSError:
            return False
        finally:
            connection.close()

    def memory_mib(self, what):
        with open("/proc/%d/status" % self.process.pid) as file:
            return int(re.search(r"^%s:\s+(\d+)" % what, file.read(), re.M).group(1)) / 1024

    def stats(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.shape["admin_port"], timeout=60)
        connection.request("GET", "/stats?filter=^server%5C.config&format=json")
        values = json.loads(connection.getresponse().read())["stats"]
        connection.close()
        return {one["name"]: one["value"] for one in values if "name" in one}

    def reload(self, variant):
        """Changes one endpoint and returns the statistics once every worker has it."""
        before = self.stats()["server.config_reload_success"]
        big_config.write(self.path, variant=variant, **self.shape)
        os.kill(self.process.pid, signal.SIGHUP)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            stats = self.stats()
            if stats["server.config_reload_success"] > before and stats["server.config_versions"] == self.versions:
                return stats
            time.sleep(0.005)
        raise harness.BenchError("the reload did not end: " + harness.last_words(self.process))

    def settle(self):
        """The number of live versions when nothing is under way: what it returns to after every reload."""
        time.sleep(1)
        self.versions = self.stats()["server.config_versions"]

    def stop(self):
        self.session.stop(self.process, 20)


def big_config_check(session, options):
    peer = peers.make("weir", options)
    if peer.missing():
        return [], ["weir: skipped, " + peer.missing()]
    rows, details = [], []
    for kind, ready_target in (("yaml", 2500), ("json", 2000)):
        proxy = Proxy(session, options, SHAPE, kind)
        try:
            proxy.settle()
            stats = proxy.stats()
            rows += [("weir", "%s, exec to serving" % kind, proxy.ready_ms, "ms", ready_target),
                     ("weir", "%s, peak memory" % kind, proxy.memory_mib("VmHWM"), "MiB", 300),
                     ("weir", "%s, settled memory" % kind, proxy.memory_mib("VmRSS"), "MiB", 150)]
            details.append("weir, %s of %.1f MB: read and checked in %d ms, applied %d ms later"
                           % (kind, proxy.bytes / 1e6, stats["server.config_parse_ms"], stats["server.config_apply_ms"]))
            if kind == "yaml":
                changed = [proxy.reload(variant)["server.config_apply_ms"] for variant in range(1, 6)]
                rows += [("weir", "one endpoint changed, parsed to applied", max(changed), "ms, the worst of 5", 50),
                         ("weir", "memory after 5 reloads", proxy.memory_mib("VmRSS"), "MiB", None),
                         ("weir", "peak memory of reloads", proxy.memory_mib("VmHWM"), "MiB", None)]
        finally:
            proxy.stop()
    rows += growth(session, options)
    return rows, details


def growth(session, options):
    proxy = Proxy(session, options, SMALL, "yaml")
    try:
        proxy.settle()
        for variant in range(1, 101):
            proxy.reload(variant)
        before = proxy.memory_mib("VmRSS")
        for variant in range(101, 1101):
            proxy.reload(variant)
        return [("weir", "growth over 1,000 reloads of 100 clusters", proxy.memory_mib("VmRSS") - before, "MiB", 0.5)]
    finally:
        proxy.stop()
