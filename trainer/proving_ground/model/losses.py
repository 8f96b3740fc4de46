"""Outputs and targets of a batch become one loss for each head."""

import torch
from torch import Tensor
from torch.nn import functional

from proving_ground.model.trajectory import trajectory_loss


def head_losses(
    outputs: dict[str, Tensor], targets: dict[str, Tensor], settings: dict[str, dict[str, float]]
) -> dict[str, Tensor]:
    """Weighted loss of each head, scalars; a batch without labels for a head gives it zero, not NaN."""
    losses = {}
    if "detection" in outputs:
        losses["detection"] = detection_loss(outputs["detection"].float(), targets, settings["detection"])
    if "segmentation" in outputs:
        losses["segmentation"] = segmentation_loss(outputs["segmentation"].float(), targets["mask"])
    if "lanes" in outputs:
        losses["lanes"] = lane_loss(outputs["lanes"].float(), targets["lane"], targets["has_lanes"])
    if "trajectory" in outputs:
        futures, logits = outputs["trajectory"].float(), outputs["trajectory_logits"].float()
        losses["trajectory"] = trajectory_loss(futures, logits, targets, settings["trajectory"])
    return {name: settings[name]["weight"] * loss for name, loss in losses.items()}


def detection_loss(output: Tensor, targets: dict[str, Tensor], settings: dict[str, float]) -> Tensor:
    """Heat-map focal loss (Law and Deng 2018, eq. 1, exponent `gamma`) and IoU loss of boxes (Yu et al. 2016).

    output: [B, C + 4, h, w]; targets as data.targets.detection_maps, batched.
    """
    heat, logits = targets["heat"], output[:, :-4]
    labelled = targets["has_detection"].float()[:, None, None, None]
    counted = targets["counted"] * labelled
    center = (heat == 1).float()
    log_yes, log_no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    gamma = settings["gamma"]
    hit = center * log_no.exp().pow(gamma) * log_yes
    miss = (1 - center) * (1 - heat).pow(4) * log_yes.exp().pow(gamma) * log_no
    focal = -((hit + miss) * counted).sum() / (center * counted).sum().clamp(min=1)

    positive = targets["positive"] * labelled
    overlap = side_iou(output[:, -4:].clamp(max=6).exp(), targets["box"].clamp(min=0.1))
    boxes = ((1 - overlap) * positive).sum() / positive.sum().clamp(min=1)
    return focal + settings["box_weight"] * boxes


def side_iou(found: Tensor, wanted: Tensor) -> Tensor:
    """IoU of boxes given by distances left, top, right, bottom from the same point: [B, 4, h, w] to [B, 1, h, w]."""
    both = torch.minimum(found, wanted)
    overlap = (both[:, 0] + both[:, 2]) * (both[:, 1] + both[:, 3])
    area = (found[:, 0] + found[:, 2]) * (found[:, 1] + found[:, 3]) + (wanted[:, 0] + wanted[:, 2]) * (
        wanted[:, 1] + wanted[:, 3]
    )
    return (overlap / (area - overlap).clamp(min=1e-6))[:, None]


def segmentation_loss(output: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of [B, K, h, w] against [B, H, W] with 255 ignored, at twice the output's resolution."""
    logits = functional.interpolate(output, scale_factor=2.0, mode="bilinear", align_corners=False)
    step = mask.shape[1] // logits.shape[2]
    target = mask[:, ::step, ::step]
    # The mean over nothing but ignored pixels would be NaN.
    total = functional.cross_entropy(logits, target, ignore_index=255, reduction="sum")
    return total / (target != 255).sum().clamp(min=1)


def lane_loss(output: Tensor, columns: Tensor, labelled: Tensor) -> Tensor:
    """Cross-entropy of [B, S, R, w + 1] against columns [B, S, R] in cells; NaN asks for `none`, the last place.

    A column between two cells' centres is shared between the two, so that the expectation is the column.
    """
    width = output.shape[-1] - 1
    log_share = output.log_softmax(dim=-1)
    absent = columns.isnan()
    place = (torch.nan_to_num(columns) - 0.5).clamp(0, width - 1)
    low = place.floor().long().clamp(max=width - 2)
    part = place - low
    at_low = log_share.gather(-1, low[..., None])[..., 0]
    at_high = log_share.gather(-1, low[..., None] + 1)[..., 0]
    there = -((1 - part) * at_low + part * at_high)
    loss = torch.where(absent, -log_share[..., -1], there) * labelled.float()[:, None, None]
    return loss.sum() / (labelled.sum() * loss.shape[1] * loss.shape[2]).clamp(min=1)
