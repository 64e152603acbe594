#!/usr/bin/python3
"""Runs the CTest entries of a build and counts the cases inside them; the last line is "N passed, N failed".

GoogleTest programs and the Python tests write a JUnit file each (GTEST_OUTPUT names the folder); an entry that leaves
none, because it crashed or is no such program, counts as one case.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Folders whose tests start the proxy itself.
NEEDS_WEIR = ("integration_", "config_examples_")


@dataclass
class Entry:
    """One CTest entry."""

    name: str
    command: list[str]


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: "Count") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def entries_of(build: str) -> list[Entry]:
    """All CTest entries of the build."""
    output = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build, check=True, stdout=subprocess.PIPE).stdout
    return [Entry(test["name"], test.get("command", [])) for test in json.loads(output)["tests"]]


def choose(entries: list[Entry], what: str) -> list[Entry]:
    """The entries of a folder ("core/http", "test/core/http") or with `what` in their name."""
    wanted = re.sub(r"[^A-Za-z0-9]+", "_", re.sub(r"^(\./)?test/", "", what.rstrip("/")))
    wanted = re.sub(r"_(py|cc)$", "", wanted)
    return [entry for entry in entries if wanted in entry.name]


def targets_of(chosen: list[Entry], everything: bool) -> list[str]:
    """What to build for these entries; nothing means all."""
    if everything:
        return []
    targets: set[str] = set()
    for entry in chosen:
        # A program that was never built has no command yet.
        if not entry.command or os.path.basename(entry.command[0]) == entry.name:
            targets.add(entry.name)
        elif entry.name.startswith(NEEDS_WEIR):
            targets.add("weir")
        else:
            return []
    return sorted(targets)


def read_results(path: str) -> Count:
    """The counts in a JUnit file of GoogleTest or of the Python harness."""
    count = Count()
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed += 1
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            count.skipped += 1
        else:
            count.passed += 1
    return count


def run(build: str, chosen: list[Entry], jobs: int) -> Count:
    results = tempfile.mkdtemp(prefix="weir-results-")
    junit = os.path.join(results, "ctest.xml")
    names = os.path.join(results, "names")
    pattern = "^(%s)$" % "|".join(re.escape(entry.name) for entry in chosen)
    command = ["ctest", "--output-on-failure", "--no-tests=error", "-j", str(jobs), "--output-junit", junit, "-R", pattern]
    environment = dict(os.environ, GTEST_OUTPUT="xml:" + names + "/", GTEST_COLOR="no")
    subprocess.run(command, cwd=build, env=environment, check=False)
    total = Count()
    failed: list[str] = []
    ran: dict[str, str] = {}
    if os.path.exists(junit):
        for case in xml.etree.ElementTree.parse(junit).getroot().iter("testcase"):
            ran[case.get("name", "")] = case.get("status", "fail")
    for entry in chosen:
        passed = ran.get(entry.name) == "run"
        path = os.path.join(names, entry.name + ".xml")
        try:
            count = read_results(path)
        except (OSError, xml.etree.ElementTree.ParseError):
            count = Count()
        if count == Count():
            count = Count(passed=1) if passed else Count(failed=1)
        elif not passed and count.failed == 0:
            count.failed += 1  # all cases passed and yet the program failed: a leak, or a crash at its end
        if count.failed:
            failed.append(entry.name)
        total.add(count)
    shutil.rmtree(results, ignore_errors=True)
    if failed:
        print("failed: " + " ".join(failed))
        print("again, only these: tools/dev test NAME")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="the build folder")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list-targets", action="store_true", help="print what has to be built for WHAT, and no more")
    parser.add_argument("what", nargs="*", help="folders of test/, or parts of names; without one, all tests")
    options = parser.parse_args()
    build = os.path.join(ROOT, options.build)
    entries = entries_of(build)
    named: set[str] = set()
    for what in options.what:
        chosen = choose(entries, what)
        if not chosen:
            print("no test matches '%s'; there are:" % what, *sorted(e.name for e in entries), sep="\n  ", file=sys.stderr)
            return 2
        named.update(entry.name for entry in chosen)
    chosen = [entry for entry in entries if entry.name in named or not options.what]
    if options.list_targets:
        print(*targets_of(chosen, not options.what))
        return 0
    total = run(build, chosen, options.jobs)
    skipped = ", %d skipped" % total.skipped if total.skipped else ""
    print("%d passed, %d failed%s" % (total.passed, total.failed, skipped), flush=True)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
