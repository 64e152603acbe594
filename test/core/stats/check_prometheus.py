#!/usr/bin/env python3
"""Reads the Prometheus text format on standard input and complains about anything a scraper might.

Written from the format's description, not from weir's code. Uses prometheus_client as a second opinion if installed.
"""
import re
import sys

METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')


def fail(number, line, why):
    sys.exit(f"line {number}: {why}: {line!r}")


def parse_series(number, line):
    name = METRIC.match(line)
    if not name:
        fail(number, line, "no metric name")
    at = name.end()
    labels = []
    if line[at:at + 1] == "{":
        at += 1
        while line[at:at + 1] != "}":
            label = LABEL.match(line, at)
            if not label:
                fail(number, line, f"bad label at column {at}")
            labels.append((label.group(1), label.group(2)))
            at = label.end()
            if line[at:at + 1] == ",":
                at += 1
            elif line[at:at + 1] != "}":
                fail(number, line, f"no comma at column {at}")
        at += 1
    if len({key for key, _ in labels}) != len(labels):
        fail(number, line, "a label appears twice")
    if line[at:at + 1] != " ":
        fail(number, line, "no space before the value")
    try:
        value = float(line[at + 1:])
    except ValueError:
        fail(number, line, "the value is no number")
    return name.group(0), labels, value


def check_histogram(name, series):
    """series: list of (sample name, labels, value) of one histogram family."""
    groups = {}
    for sample, labels, value in series:
        rest = tuple(sorted(pair for pair in labels if pair[0] != "le"))
        groups.setdefault(rest, []).append((sample, dict(labels).get("le"), value))
    for rest, samples in groups.items():
        bounds = [(float(le), value) for sample, le, value in samples if sample == name + "_bucket"]
        if bounds != sorted(bounds) or [v for _, v in bounds] != sorted(v for _, v in bounds):
            sys.exit(f"{name}{rest}: buckets fall")
        count = [value for sample, _, value in samples if sample == name + "_count"]
        total = [value for sample, _, value in samples if sample == name + "_sum"]
        if len(count) != 1 or len(total) != 1:
            sys.exit(f"{name}{rest}: needs one _count and one _sum")
        if not bounds or bounds[-1] != (float("inf"), count[0]):
            sys.exit(f"{name}{rest}: the last bucket must be +Inf and equal _count")


def main():
    text = sys.stdin.buffer.read().decode("utf-8")
    if text and not text.endswith("\n"):
        sys.exit("the last line has no end")
    types, seen, family, members = {}, set(), None, {}
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            if family in types:
                fail(number, line, "second TYPE of a family")
            if not METRIC.fullmatch(family) or kind not in ("counter", "gauge", "histogram"):
                fail(number, line, "bad TYPE line")
            types[family] = kind
            continue
        name, labels, value = parse_series(number, line)
        wanted = [family + suffix for suffix in ("_bucket", "_sum", "_count")] if types.get(family) == "histogram" else [family]
        if name not in wanted:
            fail(number, line, f"not of the family {family} above it")
        if types[family] == "counter" and value < 0:
            fail(number, line, "a counter below zero")
        key = (name, tuple(sorted(labels)))
        if key in seen:
            fail(number, line, "the series appears twice")
        seen.add(key)
        members.setdefault(family, []).append((name, labels, value))
    for name, kind in types.items():
        if name not in members:
            sys.exit(f"{name}: a TYPE line without samples")
        if kind == "histogram":
            check_histogram(name, members[name])
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        pass
    else:
        found = sum(len(metric.samples) for metric in text_string_to_metric_families(text))
        if found != len(seen):
            sys.exit(f"prometheus_client finds {found} samples, not {len(seen)}")
    print(len(types), len(seen))


main()
