"""An evaluation becomes the model card: where the model comes from, how good it is and where it is weak.

Its front matter is Hugging Face's (huggingface.co/docs/hub/model-cards), so that a hub lists the model with its scores.
"""

from typing import Any

import yaml

from proving_ground.config import EvaluateRun
from proving_ground.evaluation import LOWER_IS_BETTER

# A slice with fewer frames than this says little, whatever its score.
FEW_FRAMES = 30
# A slice whose main score is this far below the overall one is called weak.
WEAK_BY = 0.1
MAIN = ("map", "ap50", "ar", "miou", "lane_f1", "min_fde")
# An error is called weak where it is so many times the overall one.
WEAK_TIMES = 1.25
# Names as papers write them; actions/lib/metrics.ts has the same.
METRIC_NAMES = {
    "map": "mAP",
    "ap50": "AP50",
    "ar": "AR",
    "ece": "ECE",
    "miou": "mIoU",
    "lane_f1": "lane F1",
    "lane_accuracy": "lane accuracy",
    "lane_fp": "lane FP",
    "lane_fn": "lane FN",
    "ade": "ADE",
    "fde": "FDE",
    "min_ade": "minADE",
    "min_fde": "minFDE",
    "miss_rate": "miss rate",
    "latency_p50_ms": "latency p50",
    "latency_p95_ms": "latency p95",
}
# Of one category or class, which the metric has after a slash.
FAMILY_NAMES = {"ap": "AP", "ece": "ECE", "iou": "IoU"}
TASKS = {
    "detection": "object-detection",
    "segmentation": "image-segmentation",
    "lanes": "keypoint-detection",
    "trajectory": "time-series-forecasting",
}


def render_card(run: EvaluateRun, model: dict[str, Any], report: dict[str, Any]) -> str:
    """Markdown of a model's card; `model` is model.json, `report` is eval_report.json."""
    sections = [
        front_matter(run, model, report),
        f"# Model card: {run.experiment}",
        "",
        f"A model of the line `{run.model}`, evaluated on {report['data']['frames']} test frames of `{run.data.name}`.",
        "",
        "## Where it comes from",
        "",
        *provenance(run, model, report),
        "",
        "## Intended use",
        "",
        f"Perception for driving: {', '.join(model['architecture']['heads'])}. It was evaluated on the data "
        "above only; how it does with other cameras, places or weather is unknown. It is not a safety function by "
        "itself.",
        "",
        *io_lines(model),
        "",
        "## Scores",
        "",
        *score_table([score for score in report["scores"] if score["slice"] is None]),
        "",
        "## By slice",
        "",
        *score_table([score for score in report["scores"] if score["slice"] is not None]),
        "",
        "## Limitations",
        "",
        *caveats(report),
        "",
        "## Exports",
        "",
        *export_lines(report),
        "",
    ]
    return "\n".join(sections)


def front_matter(run: EvaluateRun, model: dict[str, Any], report: dict[str, Any]) -> str:
    """The card's YAML: tags, data, parents, and every score by metric and slice."""
    heads = model["architecture"]["heads"]
    results = [
        {
            "task": {"type": TASKS[heads[0]], "name": ", ".join(heads)},
            "dataset": {
                "name": run.data.name if score["slice"] is None else f"{run.data.name}, {score['slice']}",
                "type": run.data.name,
                "split": "test",
                "revision": run.data.version,
            },
            "metrics": [
                {"type": score["metric"], "value": round(score["candidate"], 6), "name": metric_name(score["metric"])}
            ],
        }
        for score in report["scores"]
        if score["candidate"] is not None
    ]
    content = {
        # Whose weights these are, and on which terms, only the owner of the data and the code can say.
        "license": "other",
        "library_name": "pytorch",
        "pipeline_tag": TASKS[heads[0]],
        "tags": ["autonomous-driving", "onnx", *heads],
        "datasets": [run.data.name],
        "metrics": sorted({score["metric"] for score in report["scores"]}),
        **({"base_model": [model["weights"]["manifest"]]} if model["weights"] else {}),
        "model-index": [{"name": run.experiment, "results": results}],
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)}---\n"


def metric_name(metric: str) -> str:
    """A metric's name for people: mAP, pedestrian AP; the metric itself where it isn't known."""
    family, _, member = metric.partition("/")
    if member and family in FAMILY_NAMES:
        return f"{member} {FAMILY_NAMES[family]}"
    return METRIC_NAMES.get(metric, metric)


def io_lines(model: dict[str, Any]) -> list[str]:
    """Inputs and outputs of the exports, a line each."""
    described = model["io"]
    lines = [
        f"- Input `{name}`: {' x '.join(map(str, item['shape']))} {item['type']}; {item['before']}."
        for name, item in described["inputs"].items()
    ]
    return lines + [f"- Output `{name}`: {item['after']}." for name, item in described["outputs"].items()]


def provenance(run: EvaluateRun, model: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Facts of origin, a line each."""
    training = report["training"]
    start = f"random weights (seed {model['seed']})"
    if model["weights"]:
        start = f"the weights of `{model['weights']['manifest']}`"
    facts = {
        "Run": f"`{model['run']}`",
        "Data": f"`{model['data']['name']}`, version `{model['data']['version']}`"
        + (f", DVC `{model['data']['dvc']}`" if model["data"]["dvc"] else ""),
        # A model of before there were windows says nothing of one.
        "Training frames": f"those captured from {window['from']} to {window['to']}"
        if (window := model.get("window"))
        else "all of the training manifest",
        "Code": f"`{model['code']}`",
        "Image": f"`{model['image']}`" if model["image"] else "none (this machine's locked environment)",
        "Started from": start,
        "Trained": f"{len(training['epochs'])} epochs in {training['seconds']:.0f} s on {training['processes']} x "
        f"{training['device']}, {training['precision']}, best epoch {training['best_epoch']}",
        "Replayed": f"{100 * model['replay']['share']:.0f} % of each batch from `{model['replay']['data']}`"
        if model["replay"]
        else "nothing",
        "Parameters": f"{model['parameters']:,}",
        "Energy": f"{training['energy_kwh']:.4f} kWh of this machine"
        if training["energy_kwh"] is not None
        else "not reported by this machine",
        "Compared with": "no production model"
        if run.production is None
        else f"production version {run.production['version']} (`{run.production['run']}`)",
    }
    return [f"- {name}: {value}" for name, value in facts.items()]


def score_table(scores: list[dict[str, Any]]) -> list[str]:
    """A Markdown table of scores with their intervals."""
    if not scores:
        return ["Nothing was measured here."]
    lines = ["| metric | slice | score | 95 % interval | frames | objects |", "|:--|:--|--:|:--|--:|--:|"]
    for score in scores:
        interval = score["candidate_interval"]
        shown = f"{figure(interval[0])} to {figure(interval[1])}" if interval else "–"
        objects = "–" if score["objects"] is None else str(score["objects"])
        where = score["slice"] or "all frames"
        name, value = metric_name(score["metric"]), figure(score["candidate"])
        lines.append(f"| {name} | {where} | {value} | {shown} | {score['frames']} | {objects} |")
    return lines


def figure(value: float | None) -> str:
    """A score, or a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def caveats(report: dict[str, Any]) -> list[str]:
    """What follows from the data and the scores: weak slices, slices with few frames or none, absent objects."""
    overall = {score["metric"]: score["candidate"] for score in report["scores"] if score["slice"] is None}
    lines = []
    for score in report["scores"]:
        whole = overall.get(score["metric"])
        if score["slice"] is None or score["metric"] not in MAIN or None in (whole, score["candidate"]):
            continue
        falling = score["metric"] in LOWER_IS_BETTER
        if score["candidate"] > whole * WEAK_TIMES if falling else score["candidate"] < whole - WEAK_BY:
            lines.append(
                f"- Weak on `{score['slice']}`: {metric_name(score['metric'])} {score['candidate']:.3f}, "
                f"{whole:.3f} overall."
            )
    for item in report["slices"]:
        if item["frames"] == 0:
            lines.append(f"- Not tested on `{item['name']}`: the test data has no such frame.")
        elif item["frames"] < FEW_FRAMES:
            lines.append(f"- `{item['name']}` has only {item['frames']} test frames: its scores are uncertain.")
    drift = report["training"]["checks"]["drift"]
    if drift and drift["drifted"]:
        lines.append(f"- The training data drifted from the last production model's: {'; '.join(drift['sentences'])}.")
    smoke = report["training"]["checks"]["determinism"]
    if smoke and not smoke["agrees"]:
        lines.append(
            f"- Training is not deterministic here: {smoke['steps']} steps run twice differ by "
            f"{smoke['difference']:.1e} of the largest weight."
        )
    for name, count in report["data"]["objects"].items():
        if count == 0:
            lines.append(f"- Not tested on the category `{name}`: the test data has none.")
    lines.append("- Intervals come from resampling test frames. They don't include training noise (another seed).")
    return lines


def export_lines(report: dict[str, Any]) -> list[str]:
    """Each export with its parity, and the latency."""
    lines = [
        f"- `{item['file']}` ({item['bytes'] / 1e6:.1f} MB, `{item['sha256']}`): {parity(item)}"
        for item in report["exports"]
    ]
    latency = report["latency"]
    own = latency["candidate"]
    return [
        *lines,
        f"- Latency of the ONNX export, batch {latency['batch']}, {latency['threads']} thread, {latency['device']}: "
        f"p50 {own['p50_ms']:.2f} ms, p95 {own['p95_ms']:.2f} ms over {latency['repeats']} repeats.",
    ]


def parity(item: dict[str, Any]) -> str:
    """How far an export's outputs are from the trained network's."""
    if item["difference"] is None:
        return "not compared here"
    how = "of their spread" if item["measure"] == "relative" else "absolute"
    met = "as required" if item["agrees"] else f"more than the {item['tolerance']:g} that is allowed"
    return f"outputs within {item['difference']:.1e} ({how}) of the trained network's, {met}"
