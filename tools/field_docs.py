#!/usr/bin/python3
"""Writes the reference of fields, api/reference/*.md, from the messages, the table of fields and the rules.

    tools/field_docs.py            write what has changed
    tools/field_docs.py --check    only say whether something would
"""

import argparse
import os
import re
import sys

import field_table
from field_table import IMPLEMENTED, WARNING, Row, Section, Table
from proto_schema import ROOT

FOLDER = os.path.join(ROOT, "api", "reference")
RULES = os.path.join(ROOT, "core", "config", "rules_data.cc")

# The first that a .proto file is below of says on which page it is.
PAGES = [
    ("envoy/config/bootstrap/", "bootstrap", "The bootstrap"),
    ("envoy/extensions/filters/network/http_connection_manager/", "http_connection_manager",
     "The HTTP connection manager"),
    ("envoy/config/listener/", "listeners", "Listeners and network filters"),
    ("envoy/extensions/filters/listener/", "listeners", ""),
    ("envoy/extensions/filters/network/", "listeners", ""),
    ("envoy/extensions/filters/udp/", "listeners", ""),
    ("envoy/config/cluster/", "clusters", "Clusters, endpoints and load balancing"),
    ("envoy/config/endpoint/", "clusters", ""),
    ("envoy/extensions/clusters/", "clusters", ""),
    ("envoy/extensions/upstreams/", "clusters", ""),
    ("envoy/extensions/load_balancing_policies/", "clusters", ""),
    ("envoy/config/route/", "routes", "Routes"),
    ("envoy/extensions/filters/http/", "http_filters", "HTTP filters"),
    ("envoy/config/common/mutation_rules/", "http_filters", ""),
    ("weir/extensions/filters/http/", "http_filters", ""),
    ("envoy/extensions/dynamic_modules/", "plugins", "Plugins from shared libraries"),
    ("weir/extensions/dynamic/", "plugins", ""),
    ("envoy/config/accesslog/", "access_logs", "Access logs"),
    ("envoy/extensions/access_loggers/", "access_logs", ""),
    ("envoy/config/core/v3/substitution_format_string", "access_logs", ""),
    ("envoy/extensions/formatter/", "access_logs", ""),
    ("", "common", "Messages that others use"),
]
TITLES: dict[str, str] = {}
for _, _page, _title in PAGES:
    TITLES[_page] = TITLES.get(_page) or _title


def page_of(section: Section) -> str:
    return next(page for folder, page, _ in PAGES if section.message.file.startswith(folder))


# ---- Rules

def load_rules() -> dict[str, dict[str, list[tuple[str, str, float, str]]]]:
    """message -> field or oneof -> (check, scope, number, texts)"""
    rules: dict[str, dict[str, list[tuple[str, str, float, str]]]] = {}
    message = ""
    with open(RULES, encoding="utf-8") as file:
        for name, check, scope, number, texts in re.findall(
                r'\{"([\w.]+)", Check::(k\w+)(?:, (k\w+))?(?:, ([-\d.e+]+))?(?:, "([^"]*)")?\}', file.read()):
            if check == "kMessage":
                message = name
            else:
                rules.setdefault(message, {}).setdefault(name, []).append((check, scope, float(number or 0), texts))
    return rules


def _number(value: float, unit: str) -> str:
    return "%.15g%s" % (value, unit)


def _range(rows: list[tuple[str, str, float, str]], unit: str) -> str:
    low = next((("at least " if check == "kAtLeast" else "more than ") + _number(number, unit)
                for check, _, number, _ in rows if check in ("kAtLeast", "kAbove")), "")
    high = next((("at most " if check == "kAtMost" else "less than ") + _number(number, unit)
                 for check, _, number, _ in rows if check in ("kAtMost", "kBelow")), "")
    if low.startswith("at least ") and high.startswith("at most "):
        return low[9:] + " to " + high[8:]
    return " and ".join(text for text in (low, high) if text)


TEXTS = {
    "kRequired": "required", "kNotEmpty": "not empty", "kUnique": "no item twice", "kKeysNotEmpty": "no empty key",
    "kTrue": "not false", "kDefinedOnly": "", "kHeaderName": "a header name", "kHeaderValue": "no control characters",
    "kOneLine": "one line", "kPathPrefix": "no ?, # or slash at the end",
}


def rule_text(row: Row, rows: list[tuple[str, str, float, str]]) -> str:
    unit = "s" if row.field.type == "google.protobuf.Duration" else ""
    texts: list[str] = []
    for scope in ("", "kEach"):
        group = [one for one in rows if (one[1] == "kEach") == bool(scope)]
        words = [_range(group, unit)]
        for check, _, number, listed in group:
            if check in TEXTS:
                words.append(TEXTS[check])
            elif check == "kMinLength":
                words.append("%d bytes or more" % number)
            elif check == "kMaxBytes":
                words.append("at most %d bytes" % number)
            elif check == "kMinItems":
                words.append("at least %d item%s" % (number, "" if number == 1 else "s"))
            elif check == "kMaxItems":
                words.append("at most %d item%s" % (number, "" if number == 1 else "s"))
            elif check == "kOneOf":
                words.append("one of " + listed.replace(",", ", "))
            elif check == "kNot":
                words.append("not %d" % number)
        words = [word for word in words if word]
        if words:
            texts.append(("each: " if scope else "") + ", ".join(words))
    return "; ".join(texts)


# ---- Pages

def _type_text(name: str) -> str:
    """Short, but enough to find it: of a type of the API the last part that tells it from its package."""
    if name.startswith("map<"):
        key, value = name[4:-1].split(",", 1)
        return "map of %s to %s" % (key, _type_text(value))
    parts = name.split(".")
    first = next((number for number, part in enumerate(parts) if part[:1].isupper()), len(parts) - 1)
    return ".".join(parts[first:])


def _state_text(row: Row) -> str:
    if row.state == IMPLEMENTED:
        return "yes" if not row.only else "yes: " + ", ".join(row.only)
    if row.state == WARNING:
        return "ignored: " + row.text
    return "no" if not row.text else "no; " + row.text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def section_text(section: Section, rules: dict[str, list[tuple[str, str, float, str]]], uses: list[str]) -> list[str]:
    lines = ["", "## " + section.name, ""]
    if section.message.comment:
        lines += [section.message.comment, ""]
    if section.variant:
        lines += ["Where it is used: " + ", ".join("`%s`" % use for use in uses) + ".", ""]
    if not section.message.fields:
        return lines + ["Has no fields."]
    lines += ["| field | number | type | works | default | rule | meaning |", "|---|---|---|---|---|---|---|"]
    for row in section.rows:
        one = row.field
        kind = ("repeated " if one.repeated else "") + _type_text(one.type)
        rule = rule_text(row, rules.get(one.name, []))
        if one.oneof and rules.get(one.oneof):
            rule = "; ".join(text for text in ("one of `%s` is required" % one.oneof, rule) if text)
        elif one.oneof:
            rule = "; ".join(text for text in ("one of `%s`" % one.oneof, rule) if text)
        cells = [one.name + (" (deprecated)" if one.deprecated else ""), str(one.number), kind, _state_text(row),
                 row.default, rule, one.comment]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return lines


def pages(table: Table) -> dict[str, str]:
    rules = load_rules()
    uses: dict[str, list[str]] = {}
    for section in table.sections.values():
        for row in section.rows:
            if row.variant:
                used = row.field.value_type() + "@" + row.variant
                uses.setdefault(used, []).append(section.message.name + "." + row.field.name)
    by_page: dict[str, list[Section]] = {page: [] for page in TITLES}
    for section in table.sections.values():
        by_page[page_of(section)].append(section)
    texts: dict[str, str] = {}
    index = [
        "# Reference of fields", "",
        "<!-- Written by tools/dev docs from api/proto and core/config/rules_data.cc. Do not edit. -->", "",
        "What weir makes of each field of the messages that it reads. *works*: **yes** (with the values, if only some",
        "do), **ignored** (accepted with a warning, because ignoring it changes neither routing nor security, limits or",
        "timing) or **no** (an error that names the field). A message that is not here is declared, so that its fields",
        "are known, and nothing of it works.", "",
    ]
    for page, title in TITLES.items():
        sections = sorted(by_page[page], key=lambda one: (one.message.file, list(table.sections).index(one.name)))
        if not sections:
            continue
        index.append("- [%s](%s.md)" % (title, page))
        lines = ["# " + title, "", "<!-- Written by tools/dev docs. Do not edit. -->", "",
                 "[All pages](README.md), with what the columns mean."]
        for section in sections:
            lines += section_text(section, rules.get(section.message.name, {}), uses.get(section.name, []))
        texts[page + ".md"] = "\n".join(lines) + "\n"
    texts["README.md"] = "\n".join(index) + "\n"
    return texts


def stale(texts: dict[str, str]) -> list[str]:
    """The files that are not what they should be."""
    names = set(texts) | {name for name in os.listdir(FOLDER) if name.endswith(".md")} if os.path.isdir(FOLDER) else set(texts)
    found = []
    for name in sorted(names):
        path = os.path.join(FOLDER, name)
        have = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                have = file.read()
        if have != texts.get(name):
            found.append(name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    table = field_table.load()
    for text in table.errors:
        print("error: " + text)
    if table.errors:
        return 1
    texts = pages(table)
    changed = stale(texts)
    if options.check:
        for name in changed:
            print("api/reference/%s is not what tools/dev docs would write" % name)
        return 1 if changed else 0
    os.makedirs(FOLDER, exist_ok=True)
    for name in changed:
        path = os.path.join(FOLDER, name)
        if name in texts:
            with open(path, "w", encoding="utf-8") as file:
                file.write(texts[name])
        else:
            os.unlink(path)
        print("wrote api/reference/" + name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
