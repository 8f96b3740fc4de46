"""An architecture becomes a network: residual backbone, feature pyramid, one head for each task."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from proving_ground.config import Architecture, Tracks, TrainRun
from proving_ground.data.targets import LANE_SLOTS, STRIDE, lane_rows
from proving_ground.model.trajectory import TrajectoryNetwork

# What the network is given, by name; all else in a batch is what its outputs are compared with.
INPUTS = ("image", "past", "track")
# Prior probability of an object at a place, so that the focal loss starts quiet (Lin et al. 2017, section 4.1).
PRIOR_BIAS = -4.0


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        return functional.relu(features + self.second(self.first(features)))


class Backbone(nn.Module):
    """Four stages at strides 2, 4, 8 and 16."""

    def __init__(self, widths: tuple[int, ...], depth: int) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.stages = nn.ModuleList(
            # The first stage works on the largest maps and has no blocks: it would cost more than all the others.
            nn.Sequential(convolution(i, o, stride=2), *(Residual(o) for _ in range(depth if number > 0 else 0)))
            for number, (i, o) in enumerate(zip(inputs, widths, strict=True))
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to the features of strides 4, 8 and 16."""
        features = []
        for stage in self.stages:
            image = stage(image)
            features.append(image)
        return features[1:]


class Neck(nn.Module):
    """Feature pyramid summed down to stride 4 (Lin et al. 2017, Feature Pyramid Networks)."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths[1:])
        self.smooth = convolution(channels, channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features of strides 4, 8 and 16 to [B, channels, H/4, W/4]."""
        merged = self.laterals[2](features[2])
        for level in (1, 0):
            merged = self.laterals[level](features[level]) + functional.interpolate(
                merged, scale_factor=2.0, mode="nearest"
            )
        return self.smooth(merged)


class LaneHead(nn.Module):
    """For each lane slot and row, shares of the columns and of `none` (Qin et al. 2020, Ultra Fast Lane Detection)."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.rows = lane_rows(height)
        self.trunk = convolution(channels, channels)
        self.place = nn.Conv2d(channels, LANE_SLOTS, 1)
        # Whether a lane is there at all is seen along its whole row. A convolution with a kernel as wide as the row
        # would be the same, and oneDNN computes it wrongly in bfloat16 where there are fewer than 16 channels.
        self.none = nn.Linear(channels * (width // STRIDE), LANE_SLOTS)

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, H/4, W/4] to logits [B, slots, rows, W/4 + 1], the last column for `none`."""
        trunk = self.trunk(features)[:, :, -self.rows :]
        none = self.none(trunk.permute(0, 2, 3, 1).flatten(2)).permute(0, 2, 1)
        return torch.cat([self.place(trunk), none[..., None]], dim=3)


class Network(nn.Module):
    """The whole network; its input is [B, 3, H, W] uint8, tracks, or both, and normalisation is part of it.

    A network of tracks alone has no backbone and no neck. Raises ValueError for a trajectory head of no shape.
    """

    def __init__(
        self, architecture: Architecture, detection: int, segmentation: int, tracks: Tracks | None = None
    ) -> None:
        super().__init__()
        channels = architecture.neck
        self.sees = architecture.heads != ("trajectory",)
        if self.sees:
            self.backbone = Backbone(architecture.widths, architecture.depth)
            self.neck = Neck(architecture.widths, channels)
        heads: dict[str, nn.Module] = {}
        for name in architecture.heads:
            if name == "lanes":
                heads[name] = LaneHead(channels, architecture.height, architecture.width)
                continue
            if name == "trajectory":
                if architecture.trajectory is None or tracks is None:
                    raise ValueError("a trajectory head needs the architecture's trajectory and the data's tracks")
                heads[name] = TrajectoryNetwork(architecture.trajectory, tracks)
                continue
            outputs = detection + 4 if name == "detection" else segmentation
            heads[name] = nn.Sequential(convolution(channels, channels), nn.Conv2d(channels, outputs, 1))
        self.heads = nn.ModuleDict(heads)
        if "detection" in heads:
            with torch.no_grad():
                heads["detection"][1].bias[:detection] = PRIOR_BIAS

    def forward(
        self, image: Tensor | None = None, past: Tensor | None = None, track: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Raw outputs of each head, in the order of the architecture's heads.

        detection: [B, C + 4, H/4, W/4], logits of the C categories, then log distances left, top, right, bottom in
        cells. segmentation: [B, K, H/4, W/4] logits. lanes: see LaneHead. trajectory: [B, T, K, F, 2] metres, and after
        it trajectory_logits: [B, T, K], from past [B, T, P, 2] and track [B, T] bool: see TrajectoryNetwork. Raises
        ValueError where a head's input is not given.
        """
        if (self.sees and image is None) or ("trajectory" in self.heads and past is None):
            raise ValueError(f"the heads {', '.join(self.heads)} need {'an image' if image is None else 'past tracks'}")
        features = None
        if self.sees:
            features = self.neck(self.backbone((image.float() - 110.0) / 60.0))
        outputs = {}
        for name, head in self.heads.items():
            if name == "trajectory":
                outputs[name], outputs["trajectory_logits"] = head(past, track)
            else:
                outputs[name] = head(features)
        return outputs


def build_network(
    architecture: Architecture, detection: int, segmentation: int, seed: int, tracks: Tracks | None = None
) -> Network:
    """Build a network whose initial weights are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(architecture, detection, segmentation, tracks)


def build_for(run: TrainRun) -> Network:
    """The network of a training, as its seed makes it."""
    data = run.data
    return build_network(run.architecture, len(data.detection), len(data.segmentation), run.seed, data.tracks)


def part_of(name: str) -> str:
    """The part of the network that a tensor belongs to: heads.lanes, backbone, neck."""
    words = name.split(".")
    return ".".join(words[:2]) if words[0] == "heads" else words[0]


def count_parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in network.parameters())
