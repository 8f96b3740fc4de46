"""slices.yaml and the frames' attributes become which frames belong to each slice."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from proving_ground.errors import Refused
from proving_ground.files import digest_bytes

MAX_BYTES = 64 * 1024
# The deepest that a list of slices goes is 5. PyYAML's time grows with the square of the depth: 20 kB of brackets 30 s.
MAX_DEPTH = 8
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_NAME = 40
KEYS = ("name", "where", "category", "protected")
REQUIRED = ("name", "where")
# What YAML 1.2 reads as something else than a string; PyYAML's own rules are 1.1's, where a bare `no` is false and the
# stages that planned the run would have read another file than this one.
NO_STRING = re.compile(
    r"~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|"
)


@dataclass(frozen=True, kw_only=True)
class FrameSlice:
    """A slice and its frames: `frames` is [F] bool over the manifest."""

    name: str
    where: dict[str, Any]
    category: str | None
    protected: bool
    frames: np.ndarray


def load_slices(file: Path, expected: str | None, categories: Sequence[str]) -> list[dict[str, Any]]:
    """Read slices.yaml: a list of slices with name, where, category (or None) and protected.

    Raises Refused where the file's digest isn't `expected`, and for what can't be taken: every problem on a line of its
    own, with the place, what was found and what is allowed.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Refused(f"{file}: the slices can't be read ({error.strerror})") from error
    if expected is not None and digest_bytes(content) != expected:
        raise Refused(f"{file}: it has changed since the run was planned (with {expected}): plan again")
    reader = Reader()
    slices = reader.slices(parse(file, content), tuple(categories))
    if reader.problems:
        listed = sorted(reader.problems)
        raise Refused("\n".join(f"{file}:{line}:{column}: {what}" for line, column, what in listed))
    return slices


def select_frames(slices: Sequence[dict[str, Any]], attributes: Sequence[dict[str, str]]) -> list[FrameSlice]:
    """Choose each slice's frames: every attribute of `where` must hold, a list means any of its values."""
    return [
        FrameSlice(
            name=item["name"],
            where=item["where"],
            category=item["category"],
            protected=item["protected"],
            frames=np.array([holds(item["where"], frame) for frame in attributes], dtype=bool),
        )
        for item in slices
    ]


def holds(where: dict[str, Any], attributes: dict[str, str]) -> bool:
    """Whether a frame's attributes meet a condition; an attribute that is absent meets none."""
    return all(
        attributes.get(name) in (wanted if isinstance(wanted, list) else [wanted]) for name, wanted in where.items()
    )


def parse(file: Path, content: bytes) -> yaml.Node:
    """The one document of plain values in a file; raises Refused for anything else, before it costs time or memory."""
    if len(content) > MAX_BYTES:
        raise Refused(f"{file}: the file has {len(content)} bytes; at most {MAX_BYTES} are read")
    try:
        text, depth = content.decode(), 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise Refused(f"{file}:{place(event)}: the file is nested too deeply; slices are at most 5 deep")
            if getattr(event, "anchor", None) is not None:
                raise Refused(f"{file}:{place(event)}: found an anchor or alias; write the value out where it is used")
            if getattr(event, "tag", None) is not None:
                raise Refused(f"{file}:{place(event)}: found the tag {event.tag}; plain values need none")
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        raise Refused(f"{file}: the file is empty; it must have one key, slices, with a list")
    return document


def place(event: yaml.Event) -> str:
    """Line and column of a part of the file, as editors count."""
    return f"{event.start_mark.line + 1}:{event.start_mark.column + 1}"


class Reader:
    """Reads the nodes of slices.yaml and keeps every problem that it meets, with its place."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, int, str]] = []

    def slices(self, root: yaml.Node, categories: tuple[str, ...]) -> list[dict[str, Any]]:
        """The list of slices; incomplete where there are problems."""
        found = dict(self.entries(root, "slices.yaml", ("slices",), ("slices",)))
        if "slices" not in found:
            return []
        if not isinstance(found["slices"], yaml.SequenceNode):
            self.refuse(found["slices"], "slices", "a list of slices")
            return []
        slices, names = [], set()
        for node in found["slices"].value:
            item = self.slice(node, categories)
            if item["name"] in names:
                self.problem(node, f"found the slice {item['name']} twice; keep one")
            if item["name"] is not None:
                names.add(item["name"])
            slices.append(item)
        return slices

    def slice(self, node: yaml.Node, categories: tuple[str, ...]) -> dict[str, Any]:
        """One slice, with None for what can't be read."""
        found = dict(self.entries(node, "a slice", KEYS, REQUIRED))
        item = {"name": None, "where": None, "category": None, "protected": False}
        if "name" in found:
            name = self.text(found["name"], "name", "a string")
            if name is not None and not (NAME.fullmatch(name) and len(name) <= MAX_NAME):
                allowed = f"lower-case letters, digits, single hyphens, at most {MAX_NAME} characters"
                self.refuse(found["name"], "name", allowed)
            item["name"] = name
        if "where" in found:
            item["where"] = self.where(found["where"])
        if "category" in found:
            item["category"] = self.text(found["category"], "category", "a string")
            if item["category"] is not None and item["category"] not in categories:
                self.refuse(found["category"], "category", one_of(item["category"], categories))
        if "protected" in found:
            value = found["protected"]
            written = value.value if isinstance(value, yaml.ScalarNode) and value.style is None else None
            if written not in ("true", "True", "TRUE", "false", "False", "FALSE"):
                self.refuse(value, "protected", "true or false")
            item["protected"] = str(written).lower() == "true"
        return item

    def where(self, node: yaml.Node) -> dict[str, Any]:
        """A condition: attribute to a string or a list of them."""
        condition = {}
        for name, value in self.entries(node, "where", None, ()):
            if isinstance(value, yaml.SequenceNode):
                if not value.value:
                    self.refuse(value, name, "a string, or a list of at least one")
                condition[name] = [self.text(entry, name, "a string") for entry in value.value]
            else:
                condition[name] = self.text(value, name, "a string, or a list of at least one")
        if isinstance(node, yaml.MappingNode) and not node.value:
            self.refuse(node, "where", "at least one attribute and its value")
        return condition

    def entries(
        self, node: yaml.Node, what: str, allowed: tuple[str, ...] | None, required: tuple[str, ...]
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Keys and values of a mapping, known ones, each once; `allowed` is None where any key may stand."""
        if not isinstance(node, yaml.MappingNode):
            self.refuse(node, what, f"a mapping with {', '.join(required) or 'attributes'}")
            return
        seen = set()
        for key, value in node.value:
            name = self.text(key, "a key", "a plain word")
            if name is None:
                continue
            if name in seen:
                self.problem(key, f"found the key {name} twice; keep one")
            elif allowed is not None and name not in allowed:
                self.problem(key, f"found the key {name}; allowed: {one_of(name, allowed)}")
            else:
                yield name, value
            seen.add(name)
        for name in required:
            if name not in seen:
                self.problem(node, f"{name} is missing")

    def text(self, node: yaml.Node, key: str, allowed: str) -> str | None:
        """A string, or None and a problem."""
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if not isinstance(node, yaml.ScalarNode) or (plain and NO_STRING.fullmatch(node.value)):
            self.refuse(node, key, f"{allowed}, in quotes if needed" if plain else allowed)
            return None
        return node.value

    def refuse(self, node: yaml.Node, key: str, allowed: str) -> None:
        """Keep a problem of a value: what was found and what is allowed."""
        kinds = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}
        found = (kinds.get(type(node)) or node.value[:40]) if node.value else "nothing"
        self.problem(node, f"found {found} for {key}; allowed: {allowed}")

    def problem(self, node: yaml.Node, what: str) -> None:
        """Keep a problem with its place, as editors count."""
        self.problems.append((node.start_mark.line + 1, node.start_mark.column + 1, what))


def one_of(found: str, allowed: Sequence[str]) -> str:
    """The allowed names, and the nearest where one was misspelt."""
    near = difflib.get_close_matches(found, allowed, n=1)
    return ", ".join(allowed) + (f" (did you mean {near[0]}?)" if near else "")
