#!/usr/bin/python3
"""The table of fields: what weir makes of each field of the API. Its rows stand beside the messages that they are about:
api/proto/x/y.fields belongs to x/y.proto (api/README.md has the format).

    tools/field_table.py --cc FILE     write the table as C++ (core/config/field_table.h reads it)

Other tools use load().
"""

import argparse
import os
import sys
from dataclasses import dataclass, field

import proto_schema
from proto_schema import PROTO_DIR, Field, Message, Schema

IMPLEMENTED, WARNING, REJECTED = "implemented", "warning", "rejected"
STATES = (IMPLEMENTED, WARNING, REJECTED)
BOOLS = ("bool", "google.protobuf.BoolValue")


@dataclass
class Row:
    """One field as its section has it; a field without a line is rejected without a note."""
    field: Field
    state: str = REJECTED
    text: str = ""  # why it does no harm to ignore it; what to use instead
    only: list[str] = field(default_factory=list)  # the values that are implemented; empty: all
    default: str = ""
    variant: str = ""  # of the section of the field's own message
    line: int = 0


@dataclass
class Section:
    """A message, or one of the uses of a message that weir treats differently."""
    message: Message
    variant: str
    file: str  # the .fields file
    rows: list[Row] = field(default_factory=list)
    used: bool = False

    @property
    def name(self) -> str:
        return self.message.name + ("@" + self.variant if self.variant else "")

    def row(self, name: str) -> Row | None:
        return next((one for one in self.rows if one.field.name == name), None)


class Table:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.sections: dict[str, Section] = {}  # by Section.name
        self.errors: list[str] = []

    def child(self, row: Row) -> Section | None:
        """The section of what an implemented field holds; None if the walk does not look into it."""
        kind = row.field.value_type()
        if row.state != IMPLEMENTED or kind not in self.schema.messages:
            return None
        return self.sections.get(kind + ("@" + row.variant if row.variant else ""))


class _Reader:
    def __init__(self, table: Table, path: str) -> None:
        self.table = table
        self.path = path
        self.proto = path.removesuffix(".fields") + ".proto"
        self.line = 0

    def fail(self, text: str) -> None:
        self.table.errors.append("api/proto/%s:%d: %s" % (self.path, self.line, text))

    def read(self, text: str) -> None:
        package = self.table.schema.packages.get(self.proto)
        if package is None:
            self.fail("there is no %s beside it" % os.path.basename(self.proto))
            return
        section: Section | None = None
        for line in text.split("\n"):
            self.line += 1
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "message":
                section = self.section(package, words)
            elif section is not None:
                self.row(section, words)
            else:
                self.fail("a line of a field before any message")

    def section(self, package: str, words: list[str]) -> Section | None:
        if len(words) != 2:
            self.fail("write: message NAME, or message NAME@VARIANT")
            return None
        name, _, variant = words[1].partition("@")
        message = self.table.schema.messages.get(package + "." + name)
        if message is None or message.file != self.proto:
            self.fail("%s is no message of %s" % (name, os.path.basename(self.proto)))
            return None
        section = Section(message, variant, self.path)
        if section.name in self.table.sections:
            self.fail("%s was here before" % words[1])
        section.rows = [Row(one) for one in message.fields]
        self.table.sections[section.name] = section
        return section

    def row(self, section: Section, words: list[str]) -> None:
        row = section.row(words[0])
        if row is None:
            self.fail("%s has no field %s" % (section.message.name, words[0]))
            return
        if row.line:
            self.fail("%s has a line already (%d)" % (words[0], row.line))
        row.line = self.line
        if len(words) < 2 or words[1] not in STATES:
            self.fail("%s: the state is one of %s" % (words[0], ", ".join(STATES)))
            return
        row.state = words[1]
        rest = words[2:]
        if row.state != IMPLEMENTED:
            row.text = " ".join(rest)
            if row.state == WARNING and not row.text:
                self.fail("%s: say why ignoring it changes neither routing nor security, limits or timing" % words[0])
            return
        for word in rest:
            key, _, value = word.partition("=")
            if word.startswith("@") and len(word) > 1:
                row.variant = word[1:]
            elif key == "only" and value:
                row.only = value.split(",")
            elif key == "default" and value:
                row.default = value
            else:
                self.fail("%s: cannot read '%s'; there are only=A,B default=VALUE @VARIANT" % (words[0], word))
        self.check_only(row)

    def check_only(self, row: Row) -> None:
        if not row.only:
            return
        enum = self.table.schema.enums.get(row.field.type)
        known = list(enum.values) if enum else ["true", "false"] if row.field.type in BOOLS else []
        if not known:
            self.fail("%s: only= is for enums and booleans" % row.field.name)
        for value in row.only:
            if known and value not in known:
                self.fail("%s: %s is no value of it" % (row.field.name, value))
        if row.field.type == "bool":
            self.fail("%s: a plain bool cannot be told from its default; true is a state of its own" % row.field.name)


def _check_children(table: Table) -> None:
    """Whatever an implemented field holds has a section of its own, and every section with a variant is used."""
    for section in table.sections.values():
        for row in section.rows:
            if row.state != IMPLEMENTED:
                continue
            kind = row.field.value_type()
            where = "api/proto/%s:%d: %s" % (section.file, row.line, row.field.name)
            if kind not in table.schema.messages:
                if row.variant:
                    table.errors.append("%s: %s has no variants" % (where, kind))
                continue
            child = table.child(row)
            if child is None:
                name = kind + ("@" + row.variant if row.variant else "")
                table.errors.append("%s: its type %s has no lines of its own, in %s" %
                                    (where, name, table.schema.messages[kind].file.removesuffix(".proto") + ".fields"))
            else:
                child.used = True
    for section in table.sections.values():
        if section.variant and not section.used:
            table.errors.append("api/proto/%s: nothing uses %s" % (section.file, section.name))


def load(folder: str = PROTO_DIR) -> Table:
    table = Table(proto_schema.load(folder))
    for directory, children, names in os.walk(folder):
        children.sort()
        for name in sorted(names):
            if name.endswith(".fields"):
                path = os.path.join(directory, name)
                with open(path, encoding="utf-8") as file:
                    _Reader(table, os.path.relpath(path, folder)).read(file.read())
    _check_children(table)
    return table


# ---- C++

def _to_visit(table: Table) -> dict[str, list[Row]]:
    """Per section the fields that the walk has to look at: what is not simply implemented, and what holds such fields.
    The other way round: messages all of which is implemented are not walked."""
    visits: dict[str, list[Row]] = {name: [] for name in table.sections}
    changed = True
    while changed:
        changed = False
        for section in table.sections.values():
            rows = [row for row in section.rows
                    if row.state != IMPLEMENTED or row.only
                    or (child := table.child(row)) is not None and visits[child.name]]
            if len(rows) != len(visits[section.name]):
                visits[section.name] = rows
                changed = True
    return visits


def _values(table: Table, row: Row) -> list[int]:
    enum = table.schema.enums.get(row.field.type)
    return sorted({enum.values[name] for name in row.only}) if enum else [int(name == "true") for name in row.only]


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_cc(table: Table) -> str:
    visits = _to_visit(table)
    # By message, the plain one first: the code finds them with a binary search.
    order = sorted(table.sections.values(), key=lambda one: (one.message.name, one.variant))
    index = {section.name: number for number, section in enumerate(order)}
    rows: list[str] = []
    values: list[int] = []
    sections: list[str] = []
    for section in order:
        first = len(rows)
        for row in visits[section.name]:
            text, allowed = _quote(row.text) if row.text else '""', _values(table, row)
            child = table.child(row)
            state = {IMPLEMENTED: "kImplemented", WARNING: "kWarning", REJECTED: "kRejected"}[row.state]
            rows.append("    {%d, FieldState::%s, %d, %d, %d, %s},  // %s" %
                        (row.field.number, state, index[child.name] if child else -1, len(values), len(allowed), text,
                         row.field.name))
            values += allowed
        sections.append("    {%s, %s, %d, %d}," %
                        (_quote(section.message.name), "true" if section.variant else "false", first, len(rows) - first))
    return """\
// Generated by tools/field_table.py from api/proto/**/*.fields.
#include "core/config/field_table_data.h"

namespace weir::config {
namespace {

constexpr FieldRow kRows[] = {
%s
};
constexpr int kValues[] = {%s};
constexpr FieldSection kSections[] = {
%s
};

}  // namespace

std::span<const FieldRow> field_rows() { return kRows; }
std::span<const int> field_values() { return kValues; }
std::span<const FieldSection> field_sections() { return kSections; }

}  // namespace weir::config
""" % ("\n".join(rows), ", ".join(map(str, values)) or "0", "\n".join(sections))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", required=True, metavar="FILE")
    options = parser.parse_args()
    table = load()
    for text in table.errors:
        print("error: " + text, file=sys.stderr)
    if table.errors:
        return 1
    with open(options.cc, "w", encoding="utf-8") as file:
        file.write(to_cc(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
