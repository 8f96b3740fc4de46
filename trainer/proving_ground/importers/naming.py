"""The names of a source's labels become the recipe's categories."""

import difflib
from collections.abc import Iterable, Mapping

from proving_ground.errors import Refused


def check_labels(labels: Mapping[str, list[str]], categories: Mapping[str, list[str]]) -> None:
    """Refuse names for a category that the recipe hasn't."""
    known = [*categories["detection"], *categories["segmentation"]]
    for category in labels:
        if category not in known:
            raise Refused(f"labels: found {category}; the recipe's categories are {', '.join(known)}.")


def map_names(
    wanted: Iterable[str], labels: Mapping[str, list[str]], known: Iterable[str], place: str, *, prefixes: bool = False
) -> dict[str, str]:
    """The recipe's category of each known name; what no category asks for isn't in it.

    wanted: the recipe's categories; labels: the source's names of each, or the category's own name where it isn't
    there; known: every name of the source; prefixes: a name also stands for those that go on after it with a dot, and
    the longest one decides.

    Raises:
        Refused: a category or a name isn't there, or two categories ask for the same name; `place` says where.
    """
    wanted, known = list(wanted), sorted(known)
    asked: dict[str, str] = {}
    for category in wanted:
        for name in labels.get(category, [category]):
            if name in asked and asked[name] != category:
                raise Refused(f"labels: both {asked[name]} and {category} ask for {name}; it can be only one of them.")
            asked[name] = category

    def stands_for(name: str, full: str) -> bool:
        return name == full or (prefixes and full.startswith(f"{name}."))

    for name, category in asked.items():
        if not any(stands_for(name, full) for full in known):
            near = difflib.get_close_matches(name, known, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise Refused(f"{place}: no label is named {name} (for {category}); there are {', '.join(known)}.{hint}")
    mapped: dict[str, str] = {}
    for full in known:
        matching = [name for name in asked if stands_for(name, full)]
        if matching:
            mapped[full] = asked[max(matching, key=len)]
    return mapped
