"""The weights of an earlier model become the start of this one: what fits is loaded, what is named may be left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from proving_ground.config import TrainRun
from proving_ground.errors import Refused
from proving_ground.files import MANIFEST, MODEL, digest, inside, listed_files, read_json, read_model, verify_manifest
from proving_ground.model.network import Network, build_for, part_of

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What is taken over: loaded and fresh are names here, renamed pairs of a name there and one here.

    left are names there, each with the reason: `leave`, or what differs. Fresh tensors start from the seed.
    """

    loaded: list[str]
    renamed: list[tuple[str, str]]
    left: list[tuple[str, str]]
    fresh: list[str]


def match_weights(stored: Shapes, own: Shapes, rename: Mapping[str, str], leave: Sequence[str]) -> Transfer:
    """Match stored tensors with the network's own by name, after renaming, and by shape.

    Args:
        stored, own: shapes by name.
        rename: prefixes there to prefixes here; the longest that fits is taken.
        leave: prefixes, of either side, that may stay unused or untrained.

    Raises:
        Refused: a tensor is missing on one side or differs in shape and no prefix of `leave` covers it, two stored
            tensors have one name here, or a prefix of either is no name's; each problem on a line, naming the tensor,
            both shapes and what to write.
    """
    given = {renamed_to(name, rename) for name in stored}
    problems = [
        f"weights.rename: no stored tensor begins with {prefix}"
        for prefix in rename
        if not any(covers(prefix, name) for name in stored)
    ]
    problems += [
        f"weights.leave: no tensor begins with {prefix}"
        for prefix in leave
        if not any(covers(prefix, name) for name in [*stored, *given, *own])
    ]
    loaded: dict[str, str] = {}
    renamed, left = [], []
    for name in sorted(stored):
        here = renamed_to(name, rename)
        may_leave = any(covers(prefix, name) or covers(prefix, here) for prefix in leave)
        if here in own and stored[name] == own[here] and not may_leave:
            if here in loaded:
                problems.append(
                    f"{loaded[here]} and {name} would both be loaded as {here}; rename one of them, or add it to "
                    "weights.leave"
                )
            loaded[here] = name
            if here != name:
                renamed.append((name, here))
            continue
        reason = "named in leave"
        if here not in own:
            reason = "not in this network"
        elif stored[name] != own[here]:
            reason = f"{list(stored[name])} there, {list(own[here])} here"
        if not may_leave:
            problems.append(f"{name} can't be loaded ({reason}); add {part_of(here)} to weights.leave to leave it out")
        left.append((name, reason))
    fresh = [name for name in sorted(own) if name not in loaded]
    for name in fresh:
        if name not in given and not any(covers(prefix, name) for prefix in leave):
            problems.append(
                f"{name} {list(own[name])} is not among the stored weights; add {part_of(name)} to weights.leave to "
                "let it start fresh"
            )
    if problems:
        shown = problems[:10] + ([f"and {len(problems) - 10} more"] if len(problems) > 10 else [])
        raise Refused("The weights to start from don't fit:\n" + "\n".join(shown))
    return Transfer(loaded=list(loaded), renamed=renamed, left=left, fresh=fresh)


def covers(prefix: str, name: str) -> bool:
    """Whether a name is the prefix or lies below it."""
    return name == prefix or name.startswith(f"{prefix}.")


def renamed_to(name: str, rename: Mapping[str, str]) -> str:
    """A stored name as it is called here."""
    fitting = [prefix for prefix in rename if covers(prefix, name)]
    if not fitting:
        return name
    longest = max(fitting, key=len)
    return rename[longest] + name[len(longest) :]


def weights_file(folder: Path, weights: Mapping[str, Any]) -> Path:
    """The stored weights, verified by the digest that the run names; raises Refused for other bytes."""
    file = inside(folder, weights["file"])
    if (folder / MANIFEST).exists() and digest(folder / MANIFEST) == weights["manifest"]:
        if weights["file"] not in listed_files(folder):
            raise Refused(f"{folder / MANIFEST}: it doesn't list {weights['file']}, so that file can't be checked.")
        verify_manifest(folder, weights["manifest"])
        return file
    found = digest(file)
    if found != weights["manifest"]:
        raise Refused(f"{file}: its digest is {found}, but the run starts from {weights['manifest']}.")
    return file


def check_meaning(folder: Path, run: TrainRun, leave: Sequence[str]) -> None:
    """Raise Refused where the stored model's heads mean something else: their shapes may fit by chance.

    A head means the categories that it finds, in order; that of trajectories, points and the seconds between two. What
    stands beside single files of weights may say nothing of this.
    """
    if not (folder / MODEL).exists():
        return
    document = read_json(folder / MODEL)
    if not isinstance(document, dict) or not {"run", "architecture", "categories"} <= document.keys():
        return
    document = read_model(folder)
    here = run.document["data"]
    meanings = {
        "detection": (document["categories"].get("detection"), here["categories"]["detection"]),
        "segmentation": (document["categories"].get("segmentation"), here["categories"]["segmentation"]),
        "trajectory": (document.get("tracks"), here["tracks"]),
    }
    shared = [head for head in meanings if head in document["architecture"]["heads"] and head in run.architecture.heads]
    problems = [
        f"heads.{head} was trained on {told(meanings[head][0])}, but these data have {told(meanings[head][1])}; add "
        f"heads.{head} to weights.leave"
        for head in shared
        if meanings[head][0] != meanings[head][1] and not any(covers(prefix, f"heads.{head}") for prefix in leave)
    ]
    if problems:
        raise Refused("\n".join(["The weights to start from don't fit:", *problems]))


def told(meaning: list[str] | dict[str, float] | None) -> str:
    """Categories, or the shape of tracks, in words."""
    if isinstance(meaning, dict):
        return f"tracks of {', '.join(f'{key} {value}' for key, value in meaning.items())}"
    return ", ".join(meaning or ["nothing recorded"])


def read_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of stored tensors, from the file's header alone; raises Refused for a file that isn't safetensors."""
    try:
        with safe_open(file, framework="numpy") as stored:
            return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise Refused(f"{file}: not a file of weights (safetensors): {error}") from error


def load_into(network: Network, folder: Path, weights: Mapping[str, Any]) -> Transfer:
    """Load what fits, by the same rules as the plan was made with; raises Refused as match_weights does."""
    file = weights_file(folder, weights)
    own = network.state_dict()
    shapes = {name: tuple(value.shape) for name, value in own.items()}
    transfer = match_weights(read_shapes(file), shapes, weights["rename"], weights["leave"])
    stored, there = load_file(file), {here: name for name, here in transfer.renamed}
    network.load_state_dict({**own, **{name: stored[there.get(name, name)] for name in transfer.loaded}})
    return transfer


def describe(run: TrainRun, folder: Path) -> str:
    """What training would take over, as JSON; raises Refused where it can't."""
    assert run.weights is not None
    file = weights_file(folder, run.weights)
    check_meaning(folder, run, run.weights["leave"])
    with torch.device("meta"):
        network = build_for(run)
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    return json.dumps(asdict(match_weights(read_shapes(file), own, run.weights["rename"], run.weights["leave"])))
