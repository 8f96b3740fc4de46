"""An evaluation becomes the model card: where the model comes from, how good it is and where it is weak."""

from typing import Any

from proving_ground.config import EvaluateRun

# A slice with fewer frames than this says little, whatever its score.
FEW_FRAMES = 30
# A slice whose main score is this far below the overall one is called weak.
WEAK_BY = 0.1
MAIN = ("map", "ap50", "ar", "miou", "lane_f1")


def render_card(run: EvaluateRun, model: dict[str, Any], report: dict[str, Any]) -> str:
    """Markdown of a model's card; `model` is model.json, `report` is eval_report.json."""
    sections = [
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
        f"Perception from a single forward camera: {', '.join(model['architecture']['heads'])}. Input "
        f"{model['architecture']['input']['width']} x {model['architecture']['input']['height']} pixels, RGB, 8 bits. "
        "It has been judged on the data above only: nothing is known of other cameras, places or weather.",
        "",
        "## How good it is",
        "",
        *score_table([score for score in report["scores"] if score["slice"] is None]),
        "",
        "## By slice",
        "",
        *score_table([score for score in report["scores"] if score["slice"] is not None]),
        "",
        "## Where it is weak, and what isn't known",
        "",
        *caveats(report),
        "",
        "## Exports",
        "",
        *export_lines(report),
        "",
    ]
    return "\n".join(sections)


def provenance(run: EvaluateRun, model: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Facts of origin, a line each."""
    training = report["training"]
    start = f"the weights of `{model['weights']}`" if model["weights"] else f"random weights (seed {model['seed']})"
    facts = {
        "Run": f"`{model['run']}`",
        "Data": f"`{model['data']['name']}`, version `{model['data']['version']}`"
        + (f", DVC `{model['data']['dvc']}`" if model["data"]["dvc"] else ""),
        "Code": f"`{model['code']}`",
        "Image": f"`{model['image']}`" if model["image"] else "none: this machine's own environment, locked",
        "Started from": start,
        "Trained": f"{len(training['epochs'])} epochs in {training['seconds']:.0f} s on {training['processes']} x "
        f"{training['device']}, {training['precision']}, best epoch {training['best_epoch']}",
        "Parameters": f"{model['parameters']:,}",
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
        lines.append(
            f"| {score['metric']} | {where} | {figure(score['candidate'])} | {shown} | {score['frames']} | {objects} |"
        )
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
        if score["candidate"] < whole - WEAK_BY:
            lines.append(
                f"- Weak on `{score['slice']}`: {score['metric']} {score['candidate']:.3f}, "
                f"against {whole:.3f} overall."
            )
    for item in report["slices"]:
        if item["frames"] == 0:
            lines.append(f"- Nothing is known of `{item['name']}`: the test data has no such frame.")
        elif item["frames"] < FEW_FRAMES:
            lines.append(f"- `{item['name']}` has only {item['frames']} test frames: its scores are uncertain.")
    for name, count in report["data"]["objects"].items():
        if count == 0:
            lines.append(f"- Nothing is known of the category `{name}`: the test data has none.")
    lines.append(
        "- Intervals come from resampling test frames; the noise of training itself (another seed) is not in them."
    )
    return lines


def export_lines(report: dict[str, Any]) -> list[str]:
    """Each export with its parity, and the latency."""
    lines = [
        f"- `{item['file']}` ({item['bytes'] / 1e6:.1f} MB, `{item['sha256']}`): outputs within "
        f"{item['difference']:.1e} of the trained network's, "
        + ("as required" if item["agrees"] else f"more than the {item['tolerance']:.0e} that is allowed")
        for item in report["exports"]
    ]
    latency = report["latency"]
    own = latency["candidate"]
    return [
        *lines,
        f"- Latency of the ONNX export, batch {latency['batch']}, {latency['threads']} thread, {latency['device']}: "
        f"p50 {own['p50_ms']:.2f} ms, p95 {own['p95_ms']:.2f} ms over {latency['repeats']} repeats.",
    ]
