"""The trajectory head ..."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from proving_ground.config import Architecture, Tracks, TrajectoryHead
from proving_ground.evaluation import constant_velocity
from proving_ground.model.losses import head_losses
from proving_ground.model.network import Network, build_network
from proving_ground.model.predictions import predict

TRACKS = Tracks(past=5, future=6, step_seconds=0.4)
MODES = 4
LOSS = {"trajectory": {"weight": 1.0, "class_weight": 0.5}}


def architecture(*heads: str) -> Architecture:
    """Tracks alone, or beside other heads a network of a few thousand parameters."""
    sees = heads != ("trajectory",)
    image = {"width": 96, "height": 64, "widths": (4, 8, 8, 8), "depth": 1, "neck": 8}
    none = {"width": 0, "height": 0, "widths": (), "depth": 0, "neck": 0}
    return Architecture(**(image if sees else none), heads=heads, trajectory=TrajectoryHead(modes=MODES, hidden=16))


def untrained() -> Network:
    """A network of tracks alone, as it begins."""
    return build_network(architecture("trajectory"), 0, 0, seed=1, tracks=TRACKS)


def trained() -> Network:
    """The same with a last layer of noise: what it says depends on all that it reads."""
    network, noise = untrained(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for layer in (network.heads["trajectory"].offsets, network.heads["trajectory"].logits):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=noise))
    return network.eval()


def walkers(batch: int = 2, agents: int = 9, seed: int = 0) -> Tensor:
    """Pasts [B, T, P, 2] of agents who walk, each its own way, and of one who stands."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.5, (batch, agents, 1, 2)) + rng.normal(0, 0.1, (batch, agents, TRACKS.past, 2))
    steps[:, 0] = 0
    return torch.from_numpy((rng.uniform(-8, 8, (batch, agents, 1, 2)) + steps.cumsum(axis=2)).astype(np.float32))


def answers(network: Network, past: Tensor, track: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Futures and logits."""
    with torch.inference_mode():
        outputs = network(past=past, track=track)
    assert list(outputs) == ["trajectory", "trajectory_logits"]
    return outputs["trajectory"], outputs["trajectory_logits"]


def targets(past: Tensor, seed: int = 5) -> dict[str, Tensor]:
    """Futures that bend to the left, and all tracks real."""
    ahead = torch.arange(1, TRACKS.future + 1)
    straight = constant_velocity(past, ahead)
    bend = torch.stack([-0.02 * ahead**2, 0.05 * ahead**2], dim=-1)
    return {"future": straight + bend, "track": torch.ones(past.shape[:2], dtype=torch.bool)}


def test_gives_each_track_its_modes_and_needs_no_image() -> None:
    network = untrained()
    futures, logits = answers(network, walkers())
    assert futures.shape == (2, 9, MODES, TRACKS.future, 2)
    assert logits.shape == (2, 9, MODES)
    assert all(name.startswith("heads.trajectory.") for name in network.state_dict())


def test_begins_as_the_constant_velocity_model() -> None:
    past = walkers()
    futures, logits = answers(untrained(), past)
    expected = constant_velocity(past, torch.arange(1.0, TRACKS.future + 1))
    assert torch.equal(futures, expected[:, :, None].expand_as(futures))
    assert torch.equal(logits, torch.zeros_like(logits))


def test_sees_nothing_of_padding_nor_of_other_frames() -> None:
    network, past = trained(), walkers()
    alone, alone_logits = answers(network, past)
    track = torch.arange(13)[None].expand(2, -1) < 9
    padded = torch.cat([past, torch.zeros(2, 4, TRACKS.past, 2)], dim=1)
    futures, logits = answers(network, padded, track)
    # Products of other shapes are rounded in another order.
    torch.testing.assert_close(futures[:, :9], alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[:, :9], alone_logits, rtol=0, atol=1e-5)

    # In the same shape it is the same to the bit, whatever stands in the padding and in the other frame.
    other = padded.clone()
    other[:, 9:] = walkers(2, 4, seed=8)
    other[1, :9] = walkers(1, 9, seed=9)[0]
    again, again_logits = answers(network, other, track)
    assert torch.equal(again[0, :9], futures[0, :9])
    assert torch.equal(again_logits[0, :9], logits[0, :9])
    assert not torch.equal(again[1, :9], futures[1, :9])


def test_sees_the_other_agents_of_a_frame() -> None:
    network, past = trained(), walkers()
    moved = past.clone()
    moved[0, 4] += 1.5
    assert not torch.equal(answers(network, past)[0][0, 0], answers(network, moved)[0][0, 0])


def test_takes_the_agents_in_any_order() -> None:
    network, past = trained(), walkers()
    order = torch.from_numpy(np.random.default_rng(1).permutation(9))
    (futures, logits), (turned, turned_logits) = answers(network, past), answers(network, past[:, order])
    torch.testing.assert_close(turned, futures[:, order], rtol=0, atol=1e-5)
    torch.testing.assert_close(turned_logits, logits[:, order], rtol=0, atol=1e-5)


def test_is_carried_along_when_the_world_is_moved_or_turned() -> None:
    network, past = trained(), walkers()[:, 1:]
    futures, logits = answers(network, past)
    moved, moved_logits = answers(network, past + torch.tensor([32.0, -16.0]))
    torch.testing.assert_close(moved, futures + torch.tensor([32.0, -16.0]), rtol=0, atol=1e-4)
    torch.testing.assert_close(moved_logits, logits, rtol=0, atol=1e-4)
    quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    turned, turned_logits = answers(network, past @ quarter)
    torch.testing.assert_close(turned, futures @ quarter, rtol=0, atol=1e-4)
    torch.testing.assert_close(turned_logits, logits, rtol=0, atol=1e-4)


def test_is_finite_for_agents_who_stand_in_one_place_and_are_predicted_to_the_bit() -> None:
    network, past = untrained(), torch.zeros(1, 3, TRACKS.past, 2)
    losses = head_losses(network(past=past), targets(past) | {"future": torch.zeros(1, 3, TRACKS.future, 2)}, LOSS)
    losses["trajectory"].backward()
    assert losses["trajectory"].isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_gives_every_parameter_a_gradient_and_zero_where_no_track_is_real() -> None:
    network, past = trained().train(), walkers()
    labels = targets(past)
    head_losses(network(past=past), labels, LOSS)["trajectory"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    network.zero_grad()
    none = torch.zeros_like(labels["track"])
    loss = head_losses(network(past=past, track=none), labels | {"track": none}, LOSS)["trajectory"]
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(torch.equal(parameter.grad, torch.zeros_like(parameter)) for parameter in network.parameters())


def test_loses_by_the_best_mode_alone_and_by_real_tracks_alone() -> None:
    futures = torch.zeros(1, 3, 2, TRACKS.future, 2)
    futures[0, :2, 0, :, 0], futures[0, :2, 1, :, 1] = 3.0, 1.0
    outputs = {"trajectory": futures, "trajectory_logits": torch.tensor([[[0.0, 0.0], [0.0, 0.0], [9.0, -9.0]]])}
    labels = {"future": torch.zeros(1, 3, TRACKS.future, 2), "track": torch.tensor([[True, True, False]])}
    labels["future"][0, 2] = 1e3
    settings = {"trajectory": {"weight": 2.0, "class_weight": 0.5}}
    # The better mode is 1 m away all along, and was given half the chance.
    expected = 2.0 * (1.0 + 0.5 * np.log(2))
    assert float(head_losses(outputs, labels, settings)["trajectory"]) == pytest.approx(expected, rel=1e-4)


def test_learns_a_few_tracks_by_heart_with_a_mode_for_each_way() -> None:
    network, past = untrained(), walkers(1, 2)[:, 1:].expand(2, 1, TRACKS.past, 2).contiguous()
    labels = targets(past)
    # The same past twice, and two futures: only two modes can be right about both.
    labels["future"][1] = 2 * constant_velocity(past, torch.arange(1, TRACKS.future + 1))[1] - labels["future"][1]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    history = []
    for _ in range(80):
        loss = head_losses(network(past=past), labels, LOSS)["trajectory"]
        history.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    futures, logits = answers(network.eval(), past)
    nearest = (futures - labels["future"][:, :, None]).norm(dim=-1).mean(-1).min(-1)
    assert history[-1] < 0.6 * history[0]
    assert nearest.values.max() < 0.15
    assert nearest.indices[0, 0] != nearest.indices[1, 0]
    assert logits.softmax(-1)[0, 0, nearest.indices[:, 0]].sum() > 0.9


def test_keeps_metres_in_bfloat16() -> None:
    network, past = trained(), walkers() + 700.0
    exact, _ = answers(network, past)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, _ = answers(network, past)
    moved = (exact - constant_velocity(past, torch.arange(1, TRACKS.future + 1))[:, :, None]).norm()
    assert (rounded - exact).norm() / moved < 0.05


class Outputs(nn.Module):
    """A network with its outputs as a tuple: what the exporters take."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, past: Tensor, track: Tensor) -> tuple[Tensor, ...]:
        """Futures and logits."""
        return tuple(self.network(past=past, track=track).values())


@pytest.mark.filterwarnings("ignore")
def test_is_exported_with_what_it_computes(tmp_path: Path) -> None:
    wrapped = Outputs(trained())
    examples = [(walkers(1, 9, seed), torch.arange(9)[None] < real) for seed, real in ((0, 9), (1, 4), (2, 0))]
    torch.jit.save(torch.jit.trace(wrapped, examples[0]), tmp_path / "model.pt")
    names = ["past", "track"], ["trajectory", "trajectory_logits"]
    torch.onnx.export(
        wrapped, examples[0], tmp_path / "model.onnx", dynamo=True, input_names=names[0], output_names=names[1]
    )
    scripted = torch.jit.load(tmp_path / "model.pt")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for past, track in examples:
        expected = wrapped(past, track)
        found = session.run(names[1], {"past": past.numpy(), "track": track.numpy()})
        for wanted, one, other in zip(expected, found, scripted(past, track), strict=True):
            np.testing.assert_allclose(one, wanted.detach().numpy(), atol=1e-4)
            torch.testing.assert_close(other, wanted)


def test_becomes_predictions_of_the_real_tracks_alone() -> None:
    past = walkers()
    futures, logits = answers(trained(), past)
    first, second = predict(
        {"trajectory": futures, "trajectory_logits": logits}, [(0, 0), (0, 0)], (0, 0), tracks=[9, 2]
    )
    assert (first.tracks.shape, second.tracks.shape) == ((9, MODES, TRACKS.future, 2), (2, MODES, TRACKS.future, 2))
    assert (second.tracks.dtype, second.track_scores.dtype) == (np.float64, np.float64)
    np.testing.assert_array_equal(second.tracks, futures[1, :2].double().numpy())
    np.testing.assert_allclose(second.track_scores.sum(axis=1), 1)
    assert (second.track_scores.argmax(1) == logits[1, :2].argmax(-1).numpy()).all()
    assert (first.boxes.shape, first.segmentation, first.lanes) == ((0, 4), None, None)


def test_stands_beside_the_heads_of_an_image_and_changes_none() -> None:
    heads = ("detection", "segmentation", "lanes")
    with_tracks = build_network(architecture(*heads, "trajectory"), 3, 7, seed=1, tracks=TRACKS).eval()
    without = build_network(architecture(*heads), 3, 7, seed=1).eval()
    own = with_tracks.state_dict()
    for name, value in without.state_dict().items():
        assert torch.equal(own.pop(name), value), name
    assert all(name.startswith("heads.trajectory.") for name in own)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 3, 64, 96), dtype=np.uint8))
    with torch.inference_mode():
        both, alone = with_tracks(image, walkers()), without(image)
    assert list(both) == [*heads, "trajectory", "trajectory_logits"]
    assert all(torch.equal(both[name], alone[name]) for name in heads)
    found = predict(both, [(192, 128)] * 2, (96, 64), tracks=[9, 9])
    expected = predict(alone, [(192, 128)] * 2, (96, 64))
    assert np.array_equal(found[0].boxes, expected[0].boxes)
    assert (len(found[0].tracks), expected[0].tracks) == (9, None)


def test_is_not_built_or_asked_without_what_it_needs() -> None:
    with pytest.raises(ValueError, match="needs the architecture's trajectory and the data's tracks"):
        build_network(architecture("trajectory"), 0, 0, seed=1)
    with pytest.raises(ValueError, match="the heads trajectory need past tracks"):
        untrained()(image=torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    with pytest.raises(ValueError, match="the heads lanes, trajectory need an image"):
        build_network(architecture("lanes", "trajectory"), 0, 0, seed=1, tracks=TRACKS)(past=walkers())
