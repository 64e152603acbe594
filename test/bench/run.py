#!/usr/bin/python3
"""Measures weir against other proxies, interleaved, and prints one ratio table per scenario. See README.md."""

import argparse
import datetime
import os
import platform
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checks
import compare
import harness
import peers
import report
import scenarios

TWO_WORKERS_TARGET = 1.10


def parse_arguments():
    everything = [*scenarios.SCENARIOS, "two_workers", *checks.CHECKS]
    known = everything + [*scenarios.LOOPS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="scenarios: %s\nchecks of weir alone: %s\nnot in a plain run: %s" % (
            " ".join([*scenarios.SCENARIOS, "two_workers"]), " ".join(checks.CHECKS), " ".join(scenarios.LOOPS)))
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="what to measure (default: everything)")
    parser.add_argument("--scenarios", default="", help="the same, separated by commas")
    parser.add_argument("--peers", default=",".join(peers.PEERS), help="separated by commas (default: %(default)s)")
    parser.add_argument("--subjects", default="weir", help="proxies of two_workers and the checks (default: weir)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="per round and proxy (default: 3)")
    parser.add_argument("--weir", default=os.path.join(harness.ROOT, "build", "release", "weir"), help="the binary")
    parser.add_argument("--weir-workers", type=int, choices=(2,), help="2: the same as the scenario two_workers")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every round there")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target was missed or a run void")
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1, help="for the load program and the origin")
    parser.add_argument("--instruction-requests", type=int, default=4000)
    parser.add_argument("--allocation-warm-up", type=int, default=30_000)
    parser.add_argument("--idle-connections", type=int, default=5000)
    parser.add_argument("--startup-config", default=os.path.join(harness.ROOT, "config-examples", "quickstart.yaml"))
    parser.add_argument("--startup-ports", type=lambda text: [int(port) for port in text.split(",")],
                        help="ports to wait for (default: every port_value of the file)")
    parser.add_argument("--filters-base", default=os.path.join(harness.HERE, "configs", "http.yaml"))
    parser.add_argument("--filters-with", default=os.path.join(harness.HERE, "configs", "filters.yaml"),
                        help="a template like configs/http.yaml with five more filters")
    parser.add_argument("--weir-bench", default=os.path.join(harness.ROOT, "build", "bench", "weir_bench"),
                        help="the binary that has these filters")
    options = parser.parse_args()
    options.names += [name for name in options.scenarios.split(",") if name]
    if options.weir_workers:
        options.names.append("two_workers")
    options.names = options.names or everything
    options.subjects = options.subjects.split(",")
    options.peers = options.peers.split(",")
    for given, allowed in ((options.names, known), (options.peers, peers.PEERS), (options.subjects, peers.PEERS)):
        for name in given:
            if name not in allowed:
                parser.error("unknown name '%s'; one of: %s" % (name, ", ".join(allowed)))
    return options


def describe_machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        congestion = file.read().strip()
    return {"date": datetime.datetime.now().isoformat(timespec="seconds"), "cpu": model, "cores": os.cpu_count(),
            "kernel": platform.release(), "congestion_control": congestion, "load_average": os.getloadavg()[0]}


def measure(session, options, name):
    if name in checks.CHECKS:
        check, title = checks.CHECKS[name]
        return report.print_checks(name, title, *check(session, options))
    if name == "two_workers":
        results = [report.print_two_workers(*compare.run_two_workers(
            session, scenarios.SCENARIOS["keepalive"], peers.make(subject, options), options.rounds, options.seconds),
            TWO_WORKERS_TARGET) for subject in options.subjects]
        return results[0] if len(results) == 1 else {"scenario": name, "subjects": results}
    if name in scenarios.LOOPS:
        scenario, names = scenarios.LOOPS[name], ["floor", *peers.LOOPS]
    else:
        scenario, names = scenarios.SCENARIOS[name], options.peers
        if scenario.own_at_most:
            names = [*names, peers.WeirOneRoute.name]
    chosen = [peers.make(peer, options) for peer in names]
    return report.print_scenario(scenario, *compare.run_scenario(session, scenario, chosen, options.rounds,
                                                                 options.seconds))


def main():
    options = parse_arguments()
    cores = os.sched_getaffinity(0)
    if not {options.proxy_core, options.load_core} <= cores:
        sys.exit("cores %d and %d are not both available: %s" % (options.proxy_core, options.load_core, sorted(cores)))
    session = harness.Session(options.proxy_core, options.load_core)
    machine = describe_machine()
    results = []
    status = 0
    try:
        harness.build_tools()
        os.sched_setaffinity(0, {options.load_core})  # nothing of ours on the proxies' core
        print("%(cpu)s, %(cores)d cores, Linux %(kernel)s, %(congestion_control)s, load average %(load_average).1f"
              % machine)
        for name in options.names:
            results.append(measure(session, options, name))
    except harness.BenchError as error:
        report.end_progress()
        print(error, file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        report.end_progress()
        print("stopped", file=sys.stderr)
        status = 130
    finally:
        session.close()
        if options.json:
            report.write_json(options.json, machine, results)
    return status or (1 if options.check and report.failures else 0)


if __name__ == "__main__":
    sys.exit(main())
