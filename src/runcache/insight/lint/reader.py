"""Reads YAML into nodes with places.

It is built from the parser's events, without recursion: an alias is the node that it names, and not
a copy, so that a file can neither nest nor multiply itself beyond what was written.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import yaml

from runcache.errors import InvalidWorkflow
from runcache.insight.lint.nodes import Mapping, Node, Scalar, Sequence
from runcache.insight.lint.scalars import Style
from runcache.insight.lint.source import Place, Source

MAX_CHARACTERS: Final = 1024 * 1024  # as much as GitHub reads
MAX_DEPTH: Final = 100
MAX_NODES: Final = 100_000
MAX_MERGED: Final = 100_000

# The parser in C is there where PyYAML was built with it, and ten times as fast.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# An anchor, a tag, or both, before what they belong to.
_PROPERTIES: Final = re.compile(r"(?:[&!][^\s,\[\]{}]*(?:\s|#.*)+)*(?:[&!][^\s,\[\]{}]*$)?")
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def read(source: Source) -> Node | None:
    """Return what the file holds, and `None` if that is nothing.

    Raises:
        InvalidWorkflow: it is not YAML, or YAML that GitHub would not take.
    """
    if len(source.text) > MAX_CHARACTERS:
        raise InvalidWorkflow(f"it has more than {MAX_CHARACTERS} characters", offset=0)
    if found := _UNPRINTABLE.search(source.text):
        raise InvalidWorkflow(
            f"the character U+{ord(found[0]):04X} is not allowed", offset=found.start()
        )
    try:
        return _Composer(source).compose(yaml.parse(source.text, Loader=_LOADER))
    except yaml.MarkedYAMLError as exc:
        offset = _index(exc.problem_mark or exc.context_mark)
        is_tab = source.text[offset : offset + 1] == "\t"
        reason = "a tab cannot indent" if is_tab else exc.problem or "it is not YAML"
        raise InvalidWorkflow(reason, offset=offset) from exc


def _index(mark: object) -> int:
    index: int = getattr(mark, "index", 0)  # a mark of either parser, or none
    return index


@dataclass(slots=True)
class _Open:
    """A collection whose end was not read yet; in a mapping names and values take turns."""

    place: Place
    anchor: str | None
    is_mapping: bool
    nodes: list[Node] = field(default_factory=list)


class _Composer:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._root: Node | None = None
        self._count = 0
        self._merged = 0

    def compose(self, events: Iterable[yaml.Event]) -> Node | None:
        is_first = True
        for event in events:
            place = self._place_of(event)
            match event:
                case yaml.DocumentStartEvent():
                    if not is_first:
                        raise InvalidWorkflow("there is a second document", offset=place.start)
                    is_first = False
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._begin(event, place)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._end()
                case yaml.ScalarEvent():
                    style = Style(event.style or "")
                    self._put(Scalar(event.value, place, style, self._source), event.anchor)
                case yaml.AliasEvent():
                    self._put(self._named(str(event.anchor), place), None)
        return self._root

    def _place_of(self, event: yaml.Event) -> Place:
        start, end = _index(event.start_mark), _index(event.end_mark)
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            found = _PROPERTIES.match(self._source.text, start, end)
            start = found.end() if found else start
        return Place(start, end)

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, place: Place) -> None:
        if len(self._open) == MAX_DEPTH:
            raise InvalidWorkflow(f"it nests deeper than {MAX_DEPTH} levels", offset=place.start)
        if event.anchor:
            self._anchors[event.anchor] = None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(place, event.anchor, is_mapping))

    def _end(self) -> None:
        done = self._open.pop()
        if done.is_mapping:
            self._put(self._mapping(done), done.anchor)
        else:
            self._put(Sequence(tuple(done.nodes), done.place), done.anchor)

    def _put(self, node: Node, anchor: str | None) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise InvalidWorkflow(f"it has more than {MAX_NODES} values", offset=node.place.start)
        if anchor:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].nodes.append(node)
        else:
            self._root = node

    def _named(self, anchor: str, place: Place) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            within = anchor in self._anchors
            reason = "is an alias within what it names" if within else "names no anchor"
            raise InvalidWorkflow(f"`*{anchor}` {reason}", offset=place.start)
        return node

    def _mapping(self, done: _Open) -> Mapping:
        own: dict[str, tuple[Scalar, Node]] = {}
        merged: list[Node] = []
        for key, value in zip(done.nodes[::2], done.nodes[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise InvalidWorkflow("a name has to be a text", offset=key.place.start)
            if key.text == "<<" and key.style is Style.PLAIN:
                merged.append(value)
            elif key.text in own:
                raise InvalidWorkflow(f"`{key.text}` is there twice", offset=key.place.start)
            else:
                own[key.text] = (key, value)
        for value in merged:
            self._merge(own, value)
        return Mapping(tuple(own.values()), done.place)

    def _merge(self, own: dict[str, tuple[Scalar, Node]], value: Node) -> None:
        """Take from one mapping, or from several in order, what is not there yet."""
        for mapping in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(mapping, Mapping):
                raise InvalidWorkflow("`<<` takes mappings", offset=value.place.start)
            self._merged += len(mapping.entries)
            if self._merged > MAX_MERGED:
                raise InvalidWorkflow("it merges too much", offset=value.place.start)
            for key, item in mapping.entries:
                own.setdefault(key.text, (key, item))
