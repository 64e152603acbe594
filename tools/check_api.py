#!/usr/bin/python3
"""Compares api/proto with lists of facts about the published API: every message that the list of wanted ones names is
there, and every message that is there is there whole, with the published numbers, types, oneofs and enum values.

    tools/check_api.py SCHEMA.tsv WANTED.md

SCHEMA.tsv: "file F   package P", "message M", "enum E" lines, then name, number, type, oneof, flags of each field, tab
separated. WANTED.md: lines with the path of a file in backquotes and **Message** names on them or below. Both come from
the published API and are no part of this tree: run this after the API was extended. A field of WANTED.md that SCHEMA.tsv
does not have is only noted: its type is not known.
"""

import argparse
import re
import sys

import proto_schema
from proto_schema import Enum, Field, Message

# Declared as empty stubs, because nothing reads them and the API only names them.
STUBS = ("google.api.expr.v1alpha1.", "cel.expr.", "opentelemetry.")
OWN = ("weir.",)


def published(path: str) -> proto_schema.Schema:
    """The facts as a schema."""
    schema = proto_schema.Schema()
    file = ""
    current: Message | Enum | None = None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith("#") or not line:
                continue
            words = line.split("\t")
            if len(words) == 1:
                kind, name = line.split(None, 1)
                if kind == "file":
                    file, package = re.split(r"\s+package\s+", name)
                    schema.packages[file] = package
                elif kind == "message":
                    current = schema.messages[name] = Message(name, file)
                elif kind == "enum":
                    current = schema.enums[name] = Enum(name)
                else:
                    current = None
            elif isinstance(current, Enum):
                current.values[words[0]] = int(words[1])
            elif isinstance(current, Message):
                words += [""] * (5 - len(words))
                kind = words[2].replace("repeated ", "")
                current.fields.append(Field(words[0], int(words[1]), kind, words[2].startswith("repeated "), words[3],
                                            "D" in words[4]))
    return schema


def wanted(path: str, packages: dict[str, str]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """(full message name, the names of its fields as listed) and what could not be read."""
    found: list[tuple[str, list[str]]] = []
    unread: list[str] = []
    file = ""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("## Appendix C") or line.startswith("### B.2"):
                break
            if (match := re.search(r"`([\w/.]+\.proto)`", line)):
                file = match.group(1)
            for name, fields in re.findall(r"\*\*([\w.]+)\*\*: (.*?)(?=; \*\*|$)", line.strip()):
                names = re.findall(r"(\w+)=(\d+)", fields)
                if name.startswith("google."):
                    found.append((name, ["%s=%s" % one for one in names]))
                elif file not in packages:
                    unread.append("%s: %s" % (file, name))
                else:
                    found.append((packages[file] + "." + name, ["%s=%s" % one for one in names]))
    return found, unread


def compare(here: Message, facts: Message) -> list[str]:
    faults = []
    ours = {one.name: one for one in here.fields}
    for one in facts.fields:
        mine = ours.pop(one.name, None)
        if mine is None:
            faults.append("%s.%s = %d is missing" % (facts.name, one.name, one.number))
            continue
        # proto3's `optional` makes a oneof of its own, "_name".
        for what, a, b in (("number", mine.number, one.number), ("oneof", mine.oneof, one.oneof.strip("_") and one.oneof),
                           ("type", mine.type_text().replace(", ", ","), one.type_text().replace(", ", ",")),
                           ("deprecation", mine.deprecated, one.deprecated)):
            if a != b:
                faults.append("%s.%s: %s is %s, published is %s" % (facts.name, one.name, what, a or "none", b or "none"))
    for name in ours:
        faults.append("%s.%s is not in the list of facts" % (facts.name, name))
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("schema")
    parser.add_argument("wanted")
    options = parser.parse_args()
    facts = published(options.schema)
    here = proto_schema.load()
    faults: list[str] = []
    notes: list[str] = []
    packages = dict(facts.packages)
    packages.update(here.packages)
    names, unread = wanted(options.wanted, packages)
    faults += ["cannot tell the package of " + text for text in unread]
    for name, fields in names:
        message = here.messages.get(name)
        if message is None:
            faults.append("%s is not declared" % name)
            continue
        for field in fields:
            field_name, number = field.split("=")
            mine = message.field(field_name)
            if mine is not None and mine.number == int(number):
                continue
            known = name in facts.messages and facts.messages[name].field(field_name) is not None
            (faults if known else notes).append("%s.%s is not declared" % (name, field))
    listed = {(name, field.split("=")[0]) for name, fields in names for field in fields}
    for name, message in here.messages.items():
        if name.startswith(STUBS + OWN):
            continue
        if name not in facts.messages:
            notes.append("%s: the list of facts does not have it" % name)
            continue
        for fault in compare(message, facts.messages[name]):
            field = fault.split(" ")[0]
            if "not in the list" in fault and (name, field.rsplit(".", 1)[1]) in listed:
                continue
            faults.append(fault)
    for name, enum in here.enums.items():
        if name in facts.enums and enum.values != facts.enums[name].values:
            for value in sorted(set(enum.values.items()) ^ set(facts.enums[name].values.items())):
                faults.append("enum %s: %s = %d is on one side only" % (name, *value))
        elif name not in facts.enums and not name.startswith(STUBS + OWN):
            notes.append("enum %s: the list of facts does not have it" % name)
    for text in notes:
        print("note: " + text)
    for text in faults:
        print("error: " + text)
    print("api: %d messages here, %d wanted, %d notes, %d errors" % (len(here.messages), len(names), len(notes), len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
