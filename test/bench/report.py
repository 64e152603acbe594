"""Tables for people and a JSON file for programs."""

import json
import sys

import peers

NOISE = 0.05  # a share of the proxy's core used by others from which a round is called disturbed


def progress(text):
    if sys.stderr.isatty():
        print("\r\033[K  %s" % text, end="", file=sys.stderr, flush=True)


def end_progress():
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


failures = []  # what was missed or void, for --check


def verdict(value, target):
    if value <= target:
        return "ok"
    failures.append("missed: %.4g, target <= %.4g" % (value, target))
    return "MISS"


def print_remarks(name, remarks):
    for remark in remarks:
        if " VOID, " in remark:
            failures.append("%s: %s" % (name, remark))
        print("  " + remark)
    sys.stdout.flush()


def best_rival(contestants):
    rivals = [one for one in contestants if one.name not in peers.NOT_RIVALS]
    return min(rivals, key=lambda one: one.median("cpu_us"), default=None)


def print_scenario(scenario, contestants, remarks):
    """One table, cheapest first; returns the same as plain data."""
    end_progress()
    print("\n%s: %s" % (scenario.name, scenario.title))
    best = best_rival([one for one in contestants if scenario.target_rival in ("", one.name)])
    if scenario.loops:
        best = next((one for one in contestants if one.name == "floor"), None)
    reference = best.median("cpu_us") if best else None
    unit = "MiB" if scenario.bulk else "req"
    rows = []
    data = {"scenario": scenario.name, "best": best.name if best else None, "target": scenario.target, "peers": {},
            "remarks": remarks}
    for one in sorted(contestants, key=lambda one: one.median("cpu_us")):
        cpu = one.median("cpu_us")
        spread = max(entry["cpu_us"] for entry in one.rounds) - min(entry["cpu_us"] for entry in one.rounds)
        ratio = cpu / reference if reference else None
        target = ""
        if one.name == "weir" and scenario.target and ratio:
            target = "<= %.2f %s" % (scenario.target, verdict(ratio, scenario.target))
        syscalls = "-" if one.syscalls is None else "%.2f" % (one.syscalls / (scenario.size / 2**20 if scenario.bulk else 1))
        rows.append([one.name, "%.2f" % cpu, "+-%.0f%%" % (50 * spread / cpu), "%.2f" % ratio if ratio else "-", target,
                     "%.0f" % one.median("units_per_s"), "%.0f%%" % (100 * one.median("own_core")),
                     *("%.0f" % one.median(field) for field in ("p50_us", "p99_us", "p999_us")), syscalls,
                     "%.1f" % (one.pss_kib / 1024)])
        data["peers"][one.name] = {"cpu_us": cpu, "ratio": ratio, "syscalls": one.syscalls,
                                   "syscalls_counted_by": one.syscalls_how, "pss_kib": one.pss_kib,
                                   "rounds": one.rounds}
    print_table(["proxy", "CPU us/" + unit, "spread", "ratio", "target", unit + "/s", "core", "p50 us", "p99 us",
                 "p99.9 us", "syscalls/" + unit, "PSS MiB"], rows)
    if best and not scenario.loops:
        print("  ratio: CPU per %s against %s, %s" % (
            unit.replace("req", "request"), best.name,
            "as the target says" if scenario.target_rival else "the best rival of this run"))
    weir = next((one for one in contestants if one.name == "weir"), None)
    bound = next((one for one in contestants if one.name == scenario.syscalls_at_most), None)
    if weir and bound and weir.syscalls and bound.syscalls:
        print("  weir's system calls: %.2f, %s's %.2f: %s" % (weir.syscalls, bound.name, bound.syscalls,
                                                             verdict(weir.syscalls, bound.syscalls * 1.005)))
    if scenario.gzip:
        print("  bytes of a packed body: " + ", ".join(
            "%s %.0f" % (one.name, one.median("bytes") / one.median("requests")) for one in contestants))
    own = next((one for one in contestants if one.name == peers.WeirOneRoute.name), None)
    if weir and own and scenario.own_at_most:
        ratio = data["own_ratio"] = weir.median("cpu_us") / own.median("cpu_us")
        print("  against weir with one route: %.2f, target <= %.2f: %s" % (ratio, scenario.own_at_most,
                                                                          verdict(ratio, scenario.own_at_most)))
    if any(one.syscalls_how not in ("perf", "") for one in contestants):
        remarks = remarks + ["system calls counted with: " + contestants[0].syscalls_how]
    disturbed = [one for one in contestants if one.median("others_core") > NOISE]
    if disturbed:
        remarks = remarks + ["DISTURBED: others used %.0f %% of the proxies' core; run again when the machine is quiet"
                             % (100 * max(one.median("others_core") for one in disturbed))]
    print_remarks(scenario.name, remarks)
    return data


def print_two_workers(contestants, remarks, target):
    end_progress()
    print("\ntwo_workers: CPU per request with two workers against one")
    data = {"scenario": "two_workers", "remarks": remarks, "target": target, "peers": {}}
    if len(contestants) == 2:
        ratio = contestants[1].median("cpu_us") / contestants[0].median("cpu_us")
        rows = [[one.name, "%.2f" % one.median("cpu_us"), "%.0f" % one.median("units_per_s"),
                 "%.0f" % one.median("p50_us"), "%.0f" % one.median("p99_us"),
                 "-" if one.syscalls is None else "%.2f" % one.syscalls] for one in contestants]
        print_table(["proxy", "CPU us/req", "req/s", "p50 us", "p99 us", "syscalls/req"], rows)
        print("  ratio %.2f, target <= %.2f: %s" % (ratio, target, verdict(ratio, target)))
        data["ratio"] = ratio
        data["peers"] = {one.name: one.rounds for one in contestants}
    print_remarks("two_workers", remarks)
    return data


def print_checks(name, title, rows, details):
    """Figures of one proxy alone: rows of (subject, what, value, unit, target or None)."""
    end_progress()
    print("\n%s: %s" % (name, title))
    table = []
    for subject, what, value, unit, target in rows:
        shown = "%.0f" % value if value >= 1000 or value == int(value) else "%.2f" % value
        bound = "" if target is None else "<= %g %s" % (target, verdict(value, target))
        table.append([subject, what, shown, unit, bound])
    if table:
        print_table(["proxy", "figure", "value", "unit", "target"], table, left=(0, 1, 3, 4))
    print_remarks(name, details)
    return {"scenario": name, "details": details,
            "figures": [dict(zip(("proxy", "figure", "value", "unit", "target"), row)) for row in rows]}


def print_table(heads, rows, left=(0, 4)):
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        print("  " + "  ".join(cell.ljust(width) if i in left else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def write_json(path, machine, results):
    with open(path, "w") as file:
        json.dump({"machine": machine, "results": results}, file, indent=1)
        file.write("\n")
