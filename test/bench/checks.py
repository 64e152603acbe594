"""Figures of one proxy alone, mostly exact ones: instructions, heap calls, idle memory, start-up.

They are about weir; `--subjects` measures another proxy the same way, for comparison and to test the harness.
"""

import argparse
import mmap
import os
import re
import shutil
import statistics
import struct
import subprocess
import time

import big_configuration
import compare
import harness
import operator_costs
import peers
import proxy_header
import scenarios

KINDS = ("malloc", "calloc", "realloc", "aligned", "mmap", "free", "munmap")
HEAP_CALLS = ("malloc", "calloc", "realloc", "aligned", "mmap")  # zero of these is the promise
STACKS, FRAMES = 64, 24
COUNTS_SIZE = 8 * (2 + len(KINDS)) + STACKS * 8 * (3 + FRAMES)  # struct Shared of tools/alloc_count.cc


class PausedLoad:
    """A load run that warms up, waits for us, goes on over the same connections, and holds them until close()."""

    def __init__(self, session, port, warm_up, requests, *arguments):
        self.session = session
        self.process, paused = session.start_tool(
            "bench_load", "--port=%d" % port, "--pause-after=%d" % warm_up, "--requests=%d" % requests, *arguments,
            stdin=subprocess.PIPE)
        if paused["errors"]:
            raise harness.BenchError("during warm-up: " + paused["error"])

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        report = harness.read_json(self.process, "bench_load")
        if report["errors"]:
            raise harness.BenchError(report["error"])
        return report

    def close(self):
        self.process.stdin.close()
        self.session.stop(self.process)


def each_subject(session, options, scenario, check, **keywords):
    """Runs check(peer, origin_ports) for each subject that is there; collects rows and details."""
    rows, details = [], []
    for name in options.subjects:
        peer = peers.make(name, options)
        reason = peer.missing()
        if reason:
            details.append("%s: skipped, %s" % (name, reason))
            continue
        origin, origin_ports = session.start_origin(scenario.endpoints, scenario.browser)
        try:
            more_rows, more_details = check(session, options, peer, scenario, origin_ports, **keywords)
            rows += more_rows
            details += more_details
        except harness.BenchError as error:
            details.append("%s: VOID, %s" % (name, error))
        finally:
            session.stop(origin)
    return rows, details


# Instructions ---------------------------------------------------------------------------------------------------------

def instructions(session, options):
    rows, details = [], []
    for name, target in (("keepalive", 15_000), ("headers", 35_000)):
        scenario = scenarios.SCENARIOS[name]
        more_rows, more_details = each_subject(session, options, scenario, _instructions, what=name, target=target)
        rows += more_rows
        details += more_details
    return rows, details


def _instructions(session, options, peer, scenario, origin_ports, what, target):
    per_request, top, kept = callgrind(session, options, peer, scenario, origin_ports, peer.command,
                                       "%s-%s" % (peer.name, what))
    details = ["%s, %s: user instructions per request of the ten functions that cost most, without their callees"
               % (peer.name, what), "  (more: callgrind_annotate --auto=yes %s)" % os.path.relpath(kept)]
    details += ["  %7.0f  %s" % item for item in top]
    return [(peer.name, what, per_request, "instructions/request", target if peer.name == "weir" else None)], details


def callgrind(session, options, peer, scenario, origin_ports, make_command, what):
    """(user instructions per request on warm connections, the top ten functions, where the profile is kept)"""
    if not shutil.which("valgrind"):
        raise harness.BenchError("valgrind is not installed")
    directory = session.new_dir("callgrind")
    port = session.free_port()
    setup = peers.Setup(scenario, directory, port, origin_ports)
    profile = os.path.join(directory, "profile")
    process = session.start_logged(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + profile + ".%p", "--trace-children=yes", "--quiet",
         "--vgdb-prefix=" + os.path.join(directory, "vgdb"), *make_command(setup)],
        session.proxy_cores, directory)
    load = None
    try:
        harness.wait_listening(process, port, peer.name + " under valgrind", 60)
        requests = options.instruction_requests
        load = PausedLoad(session, port, requests // 2, requests, *scenario.load_arguments(session.dir))
        worker = busiest(harness.process_tree(process.pid))
        control(directory, "--zero", worker)
        load.go_on()
        control(directory, "--dump", worker)
    finally:
        if load:
            load.close()
        session.stop(process, 20)
    dumps = sorted(name for name in os.listdir(directory) if name.startswith("profile.%d." % worker))
    if not dumps:
        raise harness.BenchError("callgrind wrote no profile")
    with open(os.path.join(directory, dumps[0])) as file:
        profile = file.read()
    functions = self_costs(profile)
    kept = os.path.join(harness.ROOT, "build", "bench-profiles", "%s.callgrind" % what)
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    with open(kept, "w") as file:
        # callgrind_annotate takes the cost of a call that began before --zero (calls=0) for the caller's own.
        file.write(re.sub(r"^calls=0 ", "calls=1 ", profile, flags=re.M))
    top = sorted(functions.items(), key=lambda item: -item[1])[:10]
    return sum(functions.values()) / requests, [(cost / requests, name) for name, cost in top], kept


def self_costs(profile):
    """Instructions of each function itself, from a callgrind profile."""
    names, costs = {}, {}
    function, is_call = None, False
    for line in profile.split("\n"):
        match = re.match(r"(c?fn)=(\(\d+\))(?: (.*))?$", line)
        if match:
            kind, number, name = match.groups()
            if name:
                names[number] = re.sub(r"'\d+$", "", name)  # levels of recursion count as one
            if kind == "fn":
                function = number
        elif line.startswith("calls="):
            is_call = True
        elif line[:1] in tuple("0123456789+-*"):
            if not is_call:  # the line after calls= is the callee's
                name = names[function]
                costs[name] = costs.get(name, 0) + int(line.split()[1])
            is_call = False
    return costs


def busiest(pids):
    return max(pids, key=lambda pid: harness.cpu_ns([pid]))


def control(directory, action, pid):
    result = subprocess.run(["callgrind_control", "--vgdb-prefix=" + os.path.join(directory, "vgdb"), action, str(pid)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode or "OK" not in result.stdout:
        raise harness.BenchError("callgrind_control %s: %s" % (action, result.stdout.strip()))


def filters(session, options):
    """What five filters that override every hook and do nothing cost: weir_bench with and without them."""
    if not os.access(options.weir_bench, os.X_OK):
        return [], ["skipped: %s does not exist; `tools/dev bench filters` makes it" % options.weir_bench]
    options = argparse.Namespace(**{**vars(options), "weir": options.weir_bench, "subjects": ["weir"]})
    return each_subject(session, options, scenarios.SCENARIOS["keepalive"], _filters)


def _filters(session, options, peer, scenario, origin_ports):
    costs = []
    for what, template in (("base", options.filters_base), ("with", options.filters_with)):
        costs.append(callgrind(session, options, peer, scenario, origin_ports,
                               lambda setup, template=template: peer.command_with(setup, template),
                               "%s-filters-%s" % (peer.name, what))[0])
    return [(peer.name, "without", costs[0], "instructions/request", None),
            (peer.name, "with", costs[1], "instructions/request", None),
            (peer.name, "added by the filters", costs[1] - costs[0], "instructions/request", 400)], []


# Heap calls -----------------------------------------------------------------------------------------------------------

def allocations(session, options):
    scenario = scenarios.SCENARIOS["keepalive"]
    return each_subject(session, options, scenario, _allocations)


def _allocations(session, options, peer, scenario, origin_ports):
    directory = session.new_dir("allocations")
    counts_path = os.path.join(directory, "counts")
    with open(counts_path, "wb") as file:
        file.write(bytes(COUNTS_SIZE))
    os.chmod(counts_path, 0o666)
    port = session.free_port()
    setup = peers.Setup(scenario, directory, port, origin_ports)
    environment = dict(os.environ, LD_PRELOAD=harness.tool("bench_alloc_count.so"), BENCH_ALLOC_FILE=counts_path)
    process = session.start_logged(peer.command(setup), session.proxy_cores, directory, env=environment)
    load = None
    try:
        harness.wait_listening(process, port, peer.name)
        requests = 10_000
        # As many connections to the origin as the load that is measured can ever need at once.
        PausedLoad(session, port, options.allocation_warm_up, 1, "--vary", "--connections=160").close()
        load = PausedLoad(session, port, options.allocation_warm_up, requests, "--vary", "--connections=64")
        with open(counts_path, "r+b") as file:
            shared = mmap.mmap(file.fileno(), COUNTS_SIZE)
        before = read_counts(shared)
        if not before["malloc"]:
            raise harness.BenchError("no heap call was seen at all: is the binary static?")
        shared[0:8] = struct.pack("<Q", 1)
        load.go_on()
        shared[0:8] = struct.pack("<Q", 0)
        after = read_counts(shared)
        calls = {kind: after[kind] - before[kind] for kind in KINDS}
        heap_calls = sum(calls[kind] for kind in HEAP_CALLS)
        details = ["%s: %s over %d varied requests on 64 warm connections"
                   % (peer.name, ", ".join("%s %d" % (kind, calls[kind]) for kind in KINDS), requests)]
        if peer.name == "weir" and heap_calls:
            details += who_allocated(shared, process.pid)
        return [(peer.name, "heap calls", heap_calls, "in %d requests" % requests,
                 0 if peer.name == "weir" else None)], details
    finally:
        if load:
            load.close()
        session.stop(process)


def read_counts(shared):
    return dict(zip(KINDS, struct.unpack_from("<%dQ" % len(KINDS), shared, 8)))


def who_allocated(shared, pid):
    """The distinct call stacks of the first heap calls of the measured part."""
    used = min(STACKS, struct.unpack_from("<Q", shared, 8 * (1 + len(KINDS)))[0])
    seen = {}
    for i in range(used):
        fields = struct.unpack_from("<%dQ" % (3 + FRAMES), shared, 8 * (2 + len(KINDS)) + i * 8 * (3 + FRAMES))
        kind, size, depth = fields[:3]
        stack = (KINDS[kind], fields[4:3 + depth])  # without the interposer's own frame
        seen.setdefault(stack, []).append(size)
    lines = []
    for (kind, frames), sizes in sorted(seen.items(), key=lambda item: -len(item[1]))[:8]:
        lines.append("  %d x %s(%s), called from:" % (len(sizes), kind, ", ".join(map(str, sorted(set(sizes))[:4]))))
        lines += ["    " + name for name in symbols(pid, frames)[:12]]
    return lines


def symbols(pid, addresses):
    with open("/proc/%d/maps" % pid) as file:
        maps = [(int(line.split("-")[0], 16), int(line.split("-")[1].split()[0], 16), int(line.split()[2], 16),
                 line.split()[5]) for line in file if len(line.split()) > 5 and line.split()[5].startswith("/")]
    names = []
    for address in addresses:
        for start, end, offset, path in maps:
            if start <= address < end:
                # A position-independent object's link address is its file offset, near enough for addr2line, once the
                # segment's own displacement is taken off; asking from the first mapping of the file gives that.
                base = min(low for low, _, at, other in maps if other == path and at == 0)
                result = subprocess.run(["addr2line", "-Cfspi", "-e", path, hex(address - base - 1)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                names.append("%s  [%s]" % (result.stdout.strip().split("\n")[0][:160], os.path.basename(path)))
                break
    return names


# Memory and start-up --------------------------------------------------------------------------------------------------

def idle(session, options):
    return each_subject(session, options, scenarios.SCENARIOS["keepalive"], _idle, target=1)


def idle_tls(session, options):
    return each_subject(session, options, scenarios.SCENARIOS["tls_keepalive"], _idle, target=6)


def _idle(session, options, peer, scenario, origin_ports, target):
    contestant = compare.start(session, peer, scenario, origin_ports)
    try:
        session.load(contestant.port, "--requests=20000", *scenario.load_arguments(session.dir))
        time.sleep(0.5)
        before = harness.pss_kib(contestant.pids)
        load, held = session.start_tool("bench_load", "--port=%d" % contestant.port, "--idle",
                                        "--connections=%d" % options.idle_connections,
                                        *(["--tls"] if scenario.tls else []), stdin=subprocess.PIPE)
        if held["errors"]:
            raise harness.BenchError(held["error"])
        time.sleep(1)
        each = (harness.pss_kib(contestant.pids) - before) / options.idle_connections
        load.stdin.close()
        session.stop(load)
        return [(peer.name, "resident per idle connection", each, "KiB, at %d" % options.idle_connections,
                 target if peer.name == "weir" else None)], []
    finally:
        session.stop(contestant.process)


def startup(session, options):
    peer = peers.make("weir", options)
    if peer.missing():
        return [], ["weir: skipped, " + peer.missing()]
    if not os.path.exists(options.startup_config):
        return [], ["weir: skipped, %s does not exist" % options.startup_config]
    with open(options.startup_config) as file:
        ports = [int(port) for port in re.findall(r"port_value:\s*(\d+)", file.read()) if int(port)]
    ports = options.startup_ports or sorted(set(ports))
    if not ports or any(harness.can_connect(port) for port in ports):
        return [], ["weir: skipped, a port of %s is in use" % options.startup_config]
    times, sizes = [], []
    for _ in range(max(5, options.rounds)):
        begin = time.monotonic()
        process = session.start_logged([options.weir, "-c", options.startup_config, "-l", "warning"],
                                       session.proxy_cores, session.new_dir("startup"))
        try:
            for port in ports:
                while not harness.can_connect(port):
                    if process.poll() is not None or time.monotonic() - begin > 10:
                        return [], ["weir: VOID, it does not listen on port %d" % port]
                    time.sleep(0.0005)
            times.append((time.monotonic() - begin) * 1000)
            time.sleep(0.5)
            sizes.append(harness.pss_kib(harness.process_tree(process.pid)) / 1024)
        except harness.BenchError as error:
            return [], ["weir: VOID, %s" % error]
        finally:
            session.stop(process, 10)
    return [("weir", "exec to listening", statistics.median(times), "ms", 50),
            ("weir", "PSS at rest", statistics.median(sizes), "MiB", 20)], []


CHECKS = {
    "instructions": (instructions, "user instructions per request (callgrind)"),
    "allocations": (allocations, "heap calls over 10,000 varied keep-alive requests after warm-up"),
    "idle": (idle, "memory of idle keep-alive connections"),
    "idle_tls": (idle_tls, "memory of idle keep-alive connections over TLS 1.3"),
    "startup": (startup, "start-up and memory at rest with the quickstart"),
    "filters": (filters, "what pass-through HTTP filters add"),
    "big_config": (big_configuration.check, "10,000 clusters of 10 endpoints and 10,000 routes"),
    "scrape": (operator_costs.scrape, "Prometheus scrapes of 10,000 clusters, and what lanes notice of them"),
    "proxy_header": (proxy_header.check, "what accepting PROXY protocol v2 adds to a connection"),
    "names": (operator_costs.names, "1,000 names that are asked for again and again"),
}
