"""Past tracks of a frame's agents become several futures for each, with a logit for each future."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from proving_ground.config import Tracks, TrajectoryHead
from proving_ground.evaluation.counting.trajectories import constant_velocity

# An agent that comes less far than this over its whole past, in metres, has no heading to turn by.
STANDING = 0.1
# Under the root of a squared distance in metres: the gradient of a perfect prediction is zero, not NaN.
TINY = 1e-6


class TrajectoryNetwork(nn.Module):
    """Offsets to each agent's constant velocity, from its own past and from where the frame's others go.

    Everything is seen from the agent: its place at present is the origin, and its heading the x axis (as in VectorNet,
    Gao et al. 2020). Others are pooled by maximum (as in PointNet, Qi et al. 2017), so that their order and the padding
    change nothing. A learned query stands for each mode (as in Wayformer, Nayakanti et al. 2022). The last layers begin
    at zero: untrained, every mode is the constant velocity model.
    """

    def __init__(self, settings: TrajectoryHead, tracks: Tracks) -> None:
        super().__init__()
        hidden = settings.hidden
        self.motion = perceptron(2 * (tracks.past - 1), hidden)
        self.others = nn.Sequential(nn.Linear(5, hidden), nn.ReLU())
        self.join = nn.Linear(2 * hidden, hidden)
        self.modes = nn.Parameter(torch.randn(settings.modes, hidden))
        self.decode = nn.Linear(hidden, hidden)
        self.offsets = nn.Linear(hidden, 2 * tracks.future)
        self.logits = nn.Linear(hidden, 1)
        for last in (self.offsets, self.logits):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, past: Tensor, track: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Futures [B, T, K, F, 2] in metres, as places on the ground, and logits [B, T, K] of the modes.

        past: [B, T, P, 2] metres, the present last. track: [B, T] bool, False for padding, whose futures mean nothing;
        without it all are real. Agents see each other, padding is seen by none.
        """
        present = past[:, :, -1]
        heading = headings(past)
        velocity = past[:, :, -1] - past[:, :, -2]
        motion = self.motion(turn(past[:, :, 1:] - past[:, :, :-1], heading[:, :, None]).flatten(2))

        # From agent i, the second dimension, to agent j, the third.
        place = turn(present[:, None] - present[:, :, None], heading[:, :, None])
        approach = turn(velocity[:, None] - velocity[:, :, None], heading[:, :, None])
        far = (1 + place.square().sum(-1, keepdim=True)).sqrt()
        seen = self.others(torch.cat([place / far, 1 / far, approach], dim=-1))
        # What is pooled is at least 0: a 0 in the place of padding, and of the agent itself, changes no maximum.
        real = ~torch.eye(past.shape[1], dtype=torch.bool, device=past.device)[None]
        if track is not None:
            real = real & track[:, None]
        social = seen.masked_fill(~real[..., None], 0).amax(dim=2)

        agent = self.join(torch.cat([motion, social], dim=-1))
        mode = functional.relu(self.decode(functional.relu(agent[:, :, None] + self.modes)))
        offsets = self.offsets(mode).unflatten(-1, (-1, 2))
        back = heading * heading.new_tensor([1.0, -1.0])
        steps = torch.arange(1, offsets.shape[-2] + 1, device=past.device)
        futures = constant_velocity(past, steps)[:, :, None] + turn(offsets, back[:, :, None, None])
        return futures, self.logits(mode)[..., 0]


def perceptron(inputs: int, hidden: int) -> nn.Sequential:
    """Two layers with ReLU after each."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())


def headings(past: Tensor) -> Tensor:
    """Cosine and sine of the direction of each past [B, T, P, 2]: [B, T, 2]; standing agents head along x."""
    way = past[:, :, -1] - past[:, :, 0]
    length = way.square().sum(-1, keepdim=True).sqrt()
    return torch.where(length < STANDING, way.new_tensor([1.0, 0.0]), way / length.clamp(min=STANDING))


def turn(points: Tensor, heading: Tensor) -> Tensor:
    """Turn points [..., 2] so that a heading [..., 2], cosine and sine, becomes the x axis."""
    # Products and sums, not a matrix product: autocast would round metres to bfloat16 in that.
    x, y = points.unbind(-1)
    cosine, sine = heading.unbind(-1)
    return torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)


def trajectory_loss(futures: Tensor, logits: Tensor, targets: dict[str, Tensor], settings: dict[str, float]) -> Tensor:
    """Mean displacement in metres of the best mode, and `class_weight` times the cross-entropy of choosing it.

    Winner takes all (Guzman-Rivera et al. 2012; the loss of MTP, Cui et al. 2019): futures [B, T, K, F, 2], logits
    [B, T, K], targets future [B, T, F, 2] and track [B, T] bool. Mean over real tracks, zero without any.
    """
    track = targets["track"].float()
    error = futures - targets["future"][:, :, None]
    distance = (error.square().sum(-1) + TINY).sqrt().mean(-1)
    modes = torch.arange(distance.shape[-1], device=distance.device)
    winner = (distance.detach().argmin(-1, keepdim=True) == modes).float()
    displacement = (winner * distance).sum(-1)
    choice = -(winner * logits.log_softmax(-1)).sum(-1)
    return ((displacement + settings["class_weight"] * choice) * track).sum() / track.sum().clamp(min=1)
