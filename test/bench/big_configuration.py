"""A bootstrap of 10,000 clusters with 10 endpoints each and 10,000 routes: until it serves, what it takes, what a reload of
one endpoint costs."""

import http.client
import json
import os
import statistics
import time

import big_config
import harness
import peers

SHAPE = {"clusters": 10_000, "endpoints": 10, "routes": 10_000}
RELOADS = 10


def check(session, options):
    peer = peers.make("weir", options)
    if peer.missing():
        return [], ["weir: skipped, " + peer.missing()]
    rows = []
    for kind, seconds in (("yaml", 2.5), ("json", 2.0)):
        try:
            rows += measure(session, options, kind, seconds)
        except harness.BenchError as error:
            return rows, ["weir: VOID, %s, %s" % (kind, error)]
    return rows, []


def measure(session, options, kind, seconds):
    cores = session.proxy_cores | session.load_cores  # these are about time to wait, not about CPU
    directory = session.new_dir("big")
    path = os.path.join(directory, "big." + kind)
    shape = dict(SHAPE, port=session.free_port(), admin_port=session.free_port())
    big_config.write(path, **shape)
    begin = time.monotonic()
    process = session.start_logged([options.weir, "-c", path, "--concurrency", "2", "-l", "error"],
                                   cores, directory)
    try:
        harness.wait_listening(process, shape["port"], "weir", 60)
        serving = time.monotonic() - begin
        time.sleep(3)
        rows = [("weir", kind + ", exec to listening", serving, "s", seconds),
                ("weir", kind + ", peak", status(process.pid, "VmHWM") / 1024, "MiB", 300),
                ("weir", kind + ", settled", status(process.pid, "VmRSS") / 1024, "MiB", 150)]
        if kind == "yaml":
            rows += reloads(process, path, shape)
        return rows
    finally:
        session.stop(process, 10)


def reloads(process, path, shape):
    times, sizes = [], []
    for number in range(1, RELOADS + 1):
        big_config.write(path, **shape, variant=number)
        answer = json.loads(ask(shape, "POST", "/reload?format=json"))
        if not answer.get("applied"):
            raise harness.BenchError("a reload was not applied: %.200s" % answer)
        took = answer["took_ms"]
        times.append(took["build"] + took["apply"])  # published: workers have it from their next turn on
        sizes.append(status(process.pid, "VmRSS") / 1024)
    return [("weir", "one endpoint changed, from parsed to published", statistics.median(times), "ms", 50),
            ("weir", "grown from reload 3 to %d" % RELOADS, sizes[-1] - sizes[2], "MiB", None)]


def ask(shape, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", shape["admin_port"], timeout=60)
    connection.request(method, path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def status(pid, name):
    """A line of /proc/PID/status, in KiB."""
    with open("/proc/%d/status" % pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))
