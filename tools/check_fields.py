#!/usr/bin/python3
"""Checks the table of fields (api/README.md): its lines name fields, every field that is implemented has a test that
says so, and the reference in api/reference is up to date.

A test names the fields that it proves, on a line of its own before or inside the test:

    // field: Cluster.connect_timeout, Cluster.name          # field: RouteAction.timeout

as Message.field or as much of the full name as makes it unique (core.v3.RetryPolicy.retry_on); of a message with variants
Message@variant.field. The test must fail if weir ignored the field.
"""

import argparse
import os
import re
import sys

import field_docs
import field_table
from field_table import IMPLEMENTED, Table
from proto_schema import ROOT

MARK = re.compile(r"^\s*(?://|#)\s*field:\s*(.*?)\s*$")
TEST = {
    ".cc": re.compile(r"^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST)\("),
    ".py": re.compile(r"^\s*def test_\w+\("),
}
BETWEEN = re.compile(r"^\s*(//.*|#.*|@.*)?$")


def marks(path: str, text: str) -> tuple[list[tuple[int, str]], list[str]]:
    """(line, name) of every field named in this file, and the marks that are in no test."""
    found: list[tuple[int, str]] = []
    faults: list[str] = []
    test = TEST[os.path.splitext(path)[1]]
    lines = text.split("\n")
    inside = False
    for number, line in enumerate(lines):
        if test.match(line):
            inside = True
        match = MARK.match(line)
        if match is None:
            continue
        following = next((one for one in lines[number + 1:] if not BETWEEN.match(one)), "")
        if not inside and not test.match(following):
            faults.append("%s:%d: this mark belongs to no test" % (path, number + 1))
        found += [(number + 1, name) for name in re.split(r"[,\s]+", match.group(1)) if name]
    return found, faults


def resolve(name: str, names: dict[str, list[str]]) -> list[str]:
    """The full names that this is the end of."""
    return [full for full in names.get(name.rsplit(".", 1)[-1], []) if full == name or full.endswith("." + name)]


def check_marks(table: Table) -> tuple[list[str], int]:
    states = {section.name + "." + row.field.name: row.state for section in table.sections.values() for row in section.rows}
    by_field: dict[str, list[str]] = {}
    for full in states:
        by_field.setdefault(full.rsplit(".", 1)[1], []).append(full)
    proved: set[str] = set()
    errors: list[str] = []
    for folder, children, files in os.walk(os.path.join(ROOT, "test")):
        children.sort()
        for file in sorted(files):
            path = os.path.join(folder, file)
            if os.path.splitext(file)[1] not in TEST:
                continue
            with open(path, encoding="utf-8") as opened:
                text = opened.read()
            short = os.path.relpath(path, ROOT)
            found, faults = marks(short, text)
            errors += faults
            for line, name in found:
                full = resolve(name, by_field)
                if not full:
                    errors.append("%s:%d: %s is no field of the table" % (short, line, name))
                elif len(full) > 1:
                    errors.append("%s:%d: %s may be %s" % (short, line, name, " or ".join(full)))
                elif states[full[0]] != IMPLEMENTED:
                    errors.append("%s:%d: %s is not implemented, says the table" % (short, line, full[0]))
                else:
                    proved.add(full[0])
    for section in table.sections.values():
        for row in section.rows:
            full = section.name + "." + row.field.name
            if row.state == IMPLEMENTED and full not in proved:
                errors.append("api/proto/%s:%d: no test names %s" % (section.file, row.line, full))
    return errors, len(proved)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    table = field_table.load()
    errors, proved = list(table.errors), 0
    if not errors:
        errors, proved = check_marks(table)
        errors += ["api/reference/%s is out of date; run tools/dev docs" % name
                   for name in field_docs.stale(field_docs.pages(table))]
    for text in errors:
        print("error: " + text)
    print("fields: %d implemented and tested, %d errors" % (proved, len(errors)))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
