"""Reads the .proto files of api/proto: messages, fields, enums and the comments on them. For the tools that compare,
generate and document; protoc is the judge of the syntax, so this reads only what those files use."""

import os
import re
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROTO_DIR = os.path.join(ROOT, "api", "proto")

SCALARS = {"double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
           "sfixed64", "bool", "string", "bytes"}
TOKEN = re.compile(r"""\s+|(?P<comment>//[^\n]*)|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[\w.]+)|(?P<mark>[-{}()\[\]<>=;,])""")


@dataclass
class Field:
    name: str
    number: int
    type: str  # a scalar, the full name of a message or enum, or "map<key,value>"
    repeated: bool = False
    oneof: str = ""
    deprecated: bool = False
    optional: bool = False
    comment: str = ""

    def type_text(self) -> str:
        return "repeated " + self.type if self.repeated else self.type

    def value_type(self) -> str:
        """The type of a value: of a map that of its values."""
        return self.type[:-1].split(",", 1)[1] if self.type.startswith("map<") else self.type


@dataclass
class Enum:
    name: str  # full
    values: dict[str, int] = field(default_factory=dict)


@dataclass
class Message:
    name: str  # full
    file: str  # below api/proto
    fields: list[Field] = field(default_factory=list)
    comment: str = ""

    def field(self, name: str) -> Field | None:
        return next((one for one in self.fields if one.name == name), None)


class Schema:
    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.enums: dict[str, Enum] = {}
        self.packages: dict[str, str] = {}  # file -> package

    def resolve(self) -> None:
        """Turns the type names of fields, which protobuf looks up from the inside out, into full names."""
        for message in self.messages.values():
            for one in message.fields:
                if one.type.startswith("map<"):
                    key, value = one.type[4:-1].split(",", 1)
                    one.type = "map<%s,%s>" % (key, self.full_name(value, message))
                else:
                    one.type = self.full_name(one.type, message)

    def full_name(self, name: str, message: Message) -> str:
        if name in SCALARS or name.startswith("google.protobuf."):
            return name
        if name.startswith("."):
            return name[1:]
        scope = message.name.split(".")
        for length in range(len(scope), -1, -1):
            full = ".".join(scope[:length] + [name])
            if full in self.messages or full in self.enums:
                return full
        raise ValueError("%s: %s names no type: %s" % (message.file, message.name, name))


class _Reader:
    def __init__(self, schema: Schema, path: str, text: str) -> None:
        self.schema = schema
        self.path = path
        self.package = ""
        # (token, the comment directly above or behind it)
        self.tokens: list[tuple[str, int]] = []
        self.comments: dict[int, str] = {}
        position = 0
        line = 1
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise ValueError("%s:%d: cannot read %r" % (path, line, text[position:position + 20]))
            if match.group("comment"):
                self.comments[line] = match.group("comment")[2:].strip()
            elif match.lastgroup:
                self.tokens.append((match.group(0), line))
            line += match.group(0).count("\n")
            position = match.end()
        self.token_lines = {line for _, line in self.tokens}
        self.at = 0

    def comment_at(self, line: int) -> str:
        """What stands behind line `line`, or else directly above it on lines of their own."""
        if line in self.comments:
            return self.comments[line]
        lines: list[str] = []
        above = line - 1
        while above in self.comments and above not in self.token_lines:
            lines.insert(0, self.comments[above])
            above -= 1
        return " ".join(lines)

    def peek(self) -> str:
        return self.tokens[self.at][0]

    def next(self, expected: str = "") -> str:
        token, line = self.tokens[self.at]
        if expected and token != expected:
            raise ValueError("%s:%d: expected %s, found %s" % (self.path, line, expected, token))
        self.at += 1
        return token

    def skip_statement(self) -> None:
        while self.next() != ";":
            pass

    def file(self) -> None:
        while self.at < len(self.tokens):
            word = self.peek()
            if word == "package":
                self.next()
                self.package = self.next()
                self.schema.packages[self.path] = self.package
                self.next(";")
            elif word == "message":
                self.message(self.package)
            elif word == "enum":
                self.enum(self.package)
            else:
                self.skip_statement()

    def enum(self, scope: str) -> None:
        self.next("enum")
        enum = Enum(scope + "." + self.next())
        self.next("{")
        while self.peek() != "}":
            name = self.next()
            if name in ("option", "reserved"):
                self.skip_statement()
                continue
            self.next("=")
            sign = -1 if self.peek() == "-" else 1
            if sign < 0:
                self.next()
            enum.values[name] = sign * int(self.next(), 0)
            self.skip_statement()
        self.next("}")
        self.schema.enums[enum.name] = enum

    def message(self, scope: str) -> None:
        line = self.tokens[self.at][1]
        self.next("message")
        message = Message(scope + "." + self.next(), self.path, comment=self.comment_at(line))
        self.schema.messages[message.name] = message
        self.next("{")
        self.members(message, "")

    def members(self, message: Message, oneof: str) -> None:
        while self.peek() != "}":
            word = self.peek()
            after = self.tokens[self.at + 1][0]
            if word == "message" and self.tokens[self.at + 2][0] == "{":
                self.message(message.name)
            elif word == "enum" and self.tokens[self.at + 2][0] == "{":
                self.enum(message.name)
            elif word == "oneof" and self.tokens[self.at + 2][0] == "{":
                self.next()
                name = self.next()
                self.next("{")
                self.members(message, name)
            elif word in ("option", "reserved", "extensions") and after != "=":
                self.skip_statement()
            else:
                self.field(message, oneof)
        self.next("}")

    def field(self, message: Message, oneof: str) -> None:
        line = self.tokens[self.at][1]
        one = Field("", 0, "", oneof=oneof, comment=self.comment_at(line))
        word = self.next()
        if word == "repeated":
            one.repeated = True
            word = self.next()
        elif word in ("optional", "required"):
            one.optional = word == "optional"
            word = self.next()
        if word == "map":
            self.next("<")
            key = self.next()
            self.next(",")
            word = "map<%s,%s>" % (key, self.next())
            self.next(">")
        one.type = word
        one.name = self.next()
        self.next("=")
        one.number = int(self.next(), 0)
        while (token := self.next()) != ";":
            if token == "deprecated":
                self.next("=")
                one.deprecated = self.next() == "true"
        message.fields.append(one)


def load(folder: str = PROTO_DIR) -> Schema:
    schema = Schema()
    for directory, children, names in os.walk(folder):
        children.sort()
        for name in sorted(names):
            if name.endswith(".proto"):
                path = os.path.join(directory, name)
                with open(path, encoding="utf-8") as file:
                    _Reader(schema, os.path.relpath(path, folder), file.read()).file()
    schema.resolve()
    return schema
