"""The comparison of proxies: all of a scenario's started, warmed up, then measured in turns."""

import statistics
import time

import harness
import peers
import report


class Contestant:
    """One running proxy and its figures."""

    def __init__(self, name, process, port):
        self.name = name
        self.process = process
        self.port = port
        self.pids = harness.process_tree(process.pid)
        self.rounds = []
        self.syscall_counts = []  # per request, one of each round
        self.syscalls_how = ""
        self.pss_kib = 0
        self.void = ""

    def median(self, field):
        return statistics.median(one[field] for one in self.rounds)

    @property
    def syscalls(self):
        # A moment in which the load leaves it waiting only adds to them: it asks for news of fewer requests at a time.
        return min(self.syscall_counts, default=None)


def start(session, peer, scenario, origin_ports, workers=1, cores=None, label=None):
    """Starts a proxy and waits until it listens."""
    port = session.free_port()
    setup = peers.Setup(scenario, session.new_dir(peer.name), port, origin_ports, workers)
    process = session.start_logged(peer.command(setup), cores or session.proxy_cores, setup.dir)
    harness.wait_listening(process, port, peer.name, udp=scenario.udp)
    return Contestant(label or peer.name, process, port)


def measure_round(session, contestant, scenario, seconds, proxy_cores=None, load_cores=None):
    """One round: the load's report with the proxy's CPU time beside it."""
    cores = proxy_cores or session.proxy_cores
    contestant.pids = harness.process_tree(contestant.process.pid)  # some listen before all of theirs are there
    busy, ticks = harness.core_times(cores)
    wall = time.monotonic()
    cpu = harness.cpu_ns(contestant.pids)
    result = session.load(contestant.port, "--seconds=%g" % seconds, *scenario.load_arguments(session.dir), cores=load_cores)
    cpu = harness.cpu_ns(contestant.pids) - cpu
    wall = (time.monotonic() - wall) * 1e9 * len(cores)
    busy_after, ticks_after = harness.core_times(cores)
    units = result["bytes"] / 2**20 if scenario.bulk else result["requests"]
    result["cpu_us"] = cpu / 1000 / units
    result["units_per_s"] = units / result["seconds"]
    result["own_core"] = cpu / wall
    result["others_core"] = max(0.0, (busy_after - busy) / max(1, ticks_after - ticks) - cpu / wall)
    contestant.rounds.append(result)


def run_scenario(session, scenario, chosen, rounds, seconds):
    """All rounds of one scenario; returns (contestants, remarks)."""
    remarks = []
    contestants = []
    if scenario.http2_origin:
        origin, origin_ports = session.start_http2_origin(scenario.size)
    else:
        origin, origin_ports = session.start_origin(scenario.endpoints, scenario.browser, scenario.udp)
    try:
        for peer in chosen:
            if scenario.leaves_out(peer.name):
                continue
            reason = peer.missing() or peer.refuses(scenario)
            if reason:
                remarks.append("%s: skipped, %s" % (peer.name, reason))
                continue
            try:
                contestants.append(start(session, peer, scenario, origin_ports))
            except harness.BenchError as error:
                remarks.append("%s: VOID, %s" % (peer.name, error))
        in_turn(session, scenario, contestants, rounds, seconds)
    finally:
        for contestant in contestants:
            session.stop(contestant.process)
        session.stop(origin)
    remarks += ["%s: VOID, %s" % (contestant.name, contestant.void) for contestant in contestants if contestant.void]
    return [contestant for contestant in contestants if not contestant.void], remarks


def in_turn(session, scenario, contestants, rounds, seconds, **cores):
    """Warms up, measures A B C A B C, then looks at memory. An error voids the contestant."""
    short = ["--seconds=%g" % min(1, seconds), *scenario.load_arguments(session.dir)]

    def steps():
        for contestant in contestants:
            yield contestant, lambda one: session.load(one.port, *short)
        for number in range(rounds):
            # Each round begins with another proxy, so that none is always behind the same neighbour.
            shift = number % max(1, len(contestants))
            for contestant in contestants[shift:] + contestants[:shift]:
                yield contestant, one_round
        for contestant in contestants:
            yield contestant, finish

    # System calls in a load of their own: counting costs time.
    def one_round(one):
        measure_round(session, one, scenario, seconds, **cores)
        count, one.syscalls_how = session.count_syscalls(one.pids, one.port, *short)
        if count is not None:
            one.syscall_counts.append(count)

    def finish(one):
        one.pss_kib = harness.pss_kib(one.pids)

    for contestant, step in steps():
        if contestant.void:
            continue
        try:
            step(contestant)
        except harness.BenchError as error:
            contestant.void = str(error)
        report.progress(contestant.name)


def run_two_workers(session, scenario, peer, rounds, seconds):
    """One proxy with one worker against itself with two, both free on both cores: (contestants, remarks)."""
    reason = peer.missing()
    if reason:
        return [], ["%s: skipped, %s" % (peer.name, reason)]
    both = session.proxy_cores | session.load_cores
    origin, ready = session.start_tool("bench_origin", cores=both)
    contestants = []
    try:
        for workers in (1, 2):
            contestants.append(start(session, peer, scenario, ready["ports"], workers, both,
                                     "%s, %d worker%s" % (peer.name, workers, "s" if workers > 1 else "")))
        in_turn(session, scenario, contestants, rounds, seconds, proxy_cores=both, load_cores=both)
    finally:
        for contestant in contestants:
            session.stop(contestant.process)
        session.stop(origin)
    return ([contestant for contestant in contestants if not contestant.void],
            ["%s: VOID, %s" % (contestant.name, contestant.void) for contestant in contestants if contestant.void])
