// Documents of one small experiment, valid by their schemas, for tests to change.
import { documentText, sha256 } from "../actions/lib/documents.ts";
import { judge } from "../actions/lib/gate.ts";
import type {
	Entry,
	EvalReport,
	Figures,
	Jobs,
	JobsJob,
	Plan,
	PlanDifference,
	PlanPolicy,
	PlanRule,
	PlanWaiver,
	Promotion,
	Report,
	Verdict,
} from "../actions/lib/generated/documents.d.ts";
import type { Registry } from "../actions/lib/plan.ts";
import { type Evaluation, makeReport } from "../actions/lib/report.ts";
import { studentQuantile } from "../actions/lib/student.ts";
import { evaluationKey, evaluationOf, modelKey, type Store } from "../actions/lib/train.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

export const manifest = digest("1");

export function makePlan(changes: Partial<Plan> = {}): Plan {
	const splits = {
		train: {
			frames: 1200,
			objects: { pedestrian: 1574, vehicle: 3007 },
			attributes: { timeofday: { day: 873, night: 327 } },
		},
		val: { frames: 90, objects: { pedestrian: 120, vehicle: 230 }, attributes: { timeofday: { day: 60, night: 30 } } },
		test: {
			frames: 360,
			objects: { pedestrian: 480, vehicle: 900 },
			attributes: { timeofday: { day: 240, night: 120 } },
		},
	};
	return {
		schema: 1,
		experiment: {
			name: "more-night",
			file: "experiments/more-night.yaml",
			model: "perception-hydranet",
			recipe: "hydranet-small",
			data: "scenes-more-night",
			machine: "laptop",
			gates: "perception",
			why: "Night frames are rare; 300 more of them should lift the night",
		},
		run: {
			schema: 1,
			kind: "train",
			id: "more-night-0123456789abcdef",
			experiment: "more-night",
			model: "perception-hydranet",
			seed: 0,
			processes: 2,
			data: {
				name: "scenes-more-night",
				version: digest("d"),
				dvc: null,
				manifests: {
					train: { file: "golden_train.manifest", sha256: digest("2"), frames: 1200 },
					val: { file: "golden_val.manifest", sha256: digest("3"), frames: 90 },
					test: { file: "golden_test.manifest", sha256: digest("4"), frames: 360 },
				},
				slices: { file: "slices.yaml", sha256: digest("5") },
				categories: { detection: ["vehicle", "pedestrian"], segmentation: ["road", "sky"] },
				tracks: null,
			},
			architecture: {
				input: { width: 192, height: 112 },
				backbone: { widths: [16, 32, 64, 96], depth: 1 },
				neck: { channels: 48 },
				heads: ["detection", "segmentation", "lanes"],
			},
			train: {
				epochs: 2,
				global_batch: 32,
				learning_rate: 0.003,
				weight_decay: 0.0001,
				warmup_steps: 30,
				clip_norm: 10,
				precision: "auto",
				accumulation: 1,
				ema_decay: 0,
				freeze: [],
				matmul_precision: "high",
				channels_last: true,
				compile: false,
				max_loss_factor: 1000,
				sanity: true,
				determinism_steps: 2,
				checkpoint: { steps: 25, minutes: 10, keep_last: 2, keep_every_hours: 0, durable_minutes: 15 },
				balance: { method: "fixed" },
				loss: {
					detection: { weight: 1, gamma: 2, box_weight: 0.5 },
					segmentation: { weight: 1 },
					lanes: { weight: 0.5 },
				},
				augment: { flip: { probability: 0.5 }, photometric: { probability: 1, strength: 0.2 } },
			},
			code: digest("c"),
			image: null,
			weights: null,
			replay: null,
		},
		machine: {
			name: "laptop",
			executor: "local",
			processes: 2,
			threads: 1,
			price_usd_per_hour: 0,
			max_minutes: 60,
			grace_seconds: 30,
			fast_storage: null,
			max_cost_usd: null,
			runner: ["self-hosted"],
		},
		conditions: {
			schema: 1,
			loader: { workers: 0, prefetch: 2, pin_memory: false },
			network: { instance: null, floor_gbps: null, timeout_seconds: 600 },
			drift: "warn",
			latency: [],
			tracking: { mode: "offline", project: "perception-hydranet", entity: null, images: 4, histograms: true },
		},
		data: {
			location: "/data/scenes-more-night",
			source: null,
			splits,
			slices: [
				{ name: "day", where: { timeofday: "day" }, category: null, protected: false, frames: 240, objects: 900 },
				{ name: "night", where: { timeofday: "night" }, category: null, protected: true, frames: 120, objects: 480 },
				{
					name: "night-pedestrian",
					where: { timeofday: "night" },
					category: "pedestrian",
					protected: true,
					frames: 120,
					objects: 160,
				},
			],
			difference: makeDifference(),
		},
		weights: null,
		replay: null,
		baseline: { version: 1, run: "baseline-fedcba9876543210", manifest: digest("9"), location: "/registry/v1/model" },
		promoted: null,
		changes: [
			{ path: "data.name", production: "scenes", candidate: "scenes-more-night" },
			{ path: "data.splits.train.frames", production: 900, candidate: 1200 },
			{ path: "data.splits.train.attributes.timeofday.night", production: 27, candidate: 327 },
			{ path: "train.loss.detection.gamma", production: 2, candidate: 2.5 },
		],
		policy: {
			name: "perception",
			file: "recipes/gates/perception.yaml",
			drift: "warn",
			rules: [
				makeRule({ metric: "map", value: 0.03, line: 6, reason: "detection must hold over all frames" }),
				makeRule({
					metric: "map",
					slice: "*",
					value: 0.05,
					line: 12,
					inconclusive: "allow",
					reason: "an average may not hide a condition that got worse",
				}),
				makeRule({
					metric: "latency_p95_ms",
					bound: "max_regression_percent",
					value: 50,
					min_frames: 1,
					line: 20,
					reason: "the planner waits for this model",
				}),
			],
		},
		estimate: { seconds: 40, cost_usd: 0, max_cost_usd: 0, basis: "version 1's time a training frame" },
		...changes,
	};
}

/** 300 more night frames to train on; validation and test are the same. */
export function makeDifference(): PlanDifference {
	return {
		from: { name: "scenes", version: digest("e"), dvc: null },
		splits: {
			train: { frames: [900, 1200], objects: { pedestrian: [1166, 1574], vehicle: [2261, 3007] } },
			val: { frames: [90, 90], objects: { pedestrian: [120, 120], vehicle: [230, 230] } },
			test: { frames: [360, 360], objects: { pedestrian: [480, 480], vehicle: [900, 900] } },
		},
		slices: { day: { frames: [240, 240] }, night: { frames: [120, 120] }, "night-pedestrian": { frames: [null, 120] } },
	};
}

export function makeRule(changes: Partial<PlanRule>): PlanRule {
	return {
		metric: "map",
		slice: null,
		bound: "max_drop",
		value: 0.03,
		min_frames: 30,
		inconclusive: "block",
		reason: "because",
		line: 1,
		...changes,
	};
}

export function makeWaiver(changes: Partial<PlanWaiver> = {}): PlanWaiver {
	return {
		metric: "map",
		slice: null,
		model: "perception-hydranet",
		experiment: null,
		reason: "the labels are being checked",
		who: "ann",
		until: "2026-06-15",
		line: 9,
		...changes,
	};
}

/** The policy of the fixtures with waivers. */
export function waivedBy(...entries: PlanWaiver[]): PlanPolicy {
	return { ...makePlan().policy, waivers: { file: "recipes/gates/waivers.yaml", entries } };
}

export function makeJob(changes: Partial<JobsJob> = {}): JobsJob {
	return {
		id: "more-night-0123456789abcdef",
		kind: "train",
		state: "succeeded",
		attempt: 1,
		adopted: false,
		url: null,
		output: "/store/models/perception-hydranet/more-night-0123456789abcdef/model",
		started_at: "2026-01-01T00:00:00.000Z",
		seconds: 41,
		cost_usd: 0,
		progress: null,
		diagnosis: null,
		...changes,
	};
}

export function makeJobs(plan: Plan, ...jobs: JobsJob[]): Jobs {
	const evaluation = evaluationOf(plan, manifest, 1000).id;
	const both = [
		makeJob(),
		makeJob({
			id: evaluation,
			kind: "evaluate",
			seconds: 9,
			output: `/store/models/perception-hydranet/more-night-0123456789abcdef/evaluations/${evaluation}`,
		}),
	];
	return {
		schema: 1,
		experiment: plan.experiment.name,
		run: plan.run.id,
		evaluation: jobs.length === 0 ? evaluation : null,
		jobs: jobs.length === 0 ? both : jobs,
	};
}

type Score = Report["scores"][number];

export function makeScore(changes: Partial<Score> & { drop?: number; spread?: number } = {}): Score {
	const { drop = 0, spread = 0.02, ...rest } = changes;
	const production = 0.3;
	const candidate = production - drop;
	return {
		metric: "map",
		slice: null,
		frames: 360,
		units: rest.frames ?? 360,
		objects: 1380,
		candidate,
		...spreadOf("candidate", [candidate - spread, candidate + spread]),
		production,
		delta: -drop,
		...spreadOf("delta", [-drop - spread, -drop + spread]),
		...rest,
	};
}

type Ends = [number, number] | null;
type Spread<K extends string> = { [P in `${K}_error`]: number | null } & { [P in `${K}_interval`]: Ends };

/** A figure's 95 % interval and the standard error that it comes from, of so many units. */
export function spreadOf<K extends "candidate" | "delta">(of: K, ends: Ends, units = 360): Spread<K> {
	const error = ends && (ends[1] - ends[0]) / 2 / -studentQuantile(0.025, units - 1);
	return { [`${of}_error`]: error, [`${of}_interval`]: ends } as Spread<K>;
}

export function makeEvaluation(plan: Plan, scores: Score[]): EvalReport {
	const run = evaluationOf(plan, manifest, 1000);
	const speed = { seconds: 18.2, data_wait_percent: 1.4, frames_per_second: 66.1 };
	const weights = { detection: 1, segmentation: 1, lanes: 1 };
	return {
		schema: 1,
		run: run.id,
		candidate: { ...run.candidate, parameters: 440_790 },
		production: run.production && { ...run.production, parameters: 440_790 },
		data: {
			name: plan.run.data.name,
			version: plan.run.data.version,
			frames: 360,
			objects: { vehicle: 900, pedestrian: 480 },
		},
		slices: plan.data.slices,
		scores,
		uncertainty: { method: "paired studentised bootstrap", unit: "frame", resamples: 1000, seed: 0, level: 0.95 },
		latency: {
			format: "onnx",
			batch: 1,
			threads: 1,
			repeats: 200,
			device: "cpu",
			candidate: { p50_ms: 2.7, p95_ms: 2.9 },
			production: run.production && { p50_ms: 2.7, p95_ms: 2.8 },
			int8: { candidate: { p50_ms: 1.1, p95_ms: 1.2 }, production: null },
		},
		exports: [
			{
				format: "torchscript",
				file: "model.torchscript.pt",
				sha256: digest("6"),
				bytes: 1_902_133,
				measure: "absolute",
				difference: 0,
				tolerance: 0.001,
				agrees: true,
			},
			{
				format: "onnx",
				file: "model.onnx",
				sha256: digest("7"),
				bytes: 1_867_261,
				measure: "absolute",
				difference: 4.8e-6,
				tolerance: 0.001,
				agrees: true,
			},
			{
				format: "onnx_int8",
				file: "model.int8.onnx",
				sha256: digest("b"),
				bytes: 512_000,
				measure: "relative",
				difference: 0.034,
				tolerance: 0.25,
				agrees: true,
			},
		],
		training: {
			epochs: [
				{
					epoch: 1,
					loss: { total: 4.3, detection: 2.05 },
					weights,
					validation: { map: 0.05, miou: 0.36, lane_f1: 0.25 },
					speed,
				},
				{
					epoch: 2,
					loss: { total: 1.5, detection: 0.81 },
					weights,
					validation: { map: 0.31, miou: 0.61, lane_f1: null },
					speed,
				},
			],
			best_epoch: 2,
			seconds: 38.2,
			device: "cpu",
			precision: "bf16",
			processes: 2,
			attempts: 1,
			data_wait_percent: 1.4,
			energy_kwh: null,
			tracking_url: null,
			checks: {
				determinism: { steps: 2, difference: 0, band: 0, agrees: true },
				network: null,
				drift: null,
				latency: null,
			},
		},
		artefacts: [],
		statistics: [
			{
				of: "candidate",
				file: "statistics/candidate.npz",
				sha256: digest("8"),
				evaluation: run.id,
				model: run.candidate.manifest,
				data: run.data.version,
				frames: run.data.manifests.test.sha256,
				code: run.code,
			},
		],
	};
}

/** Scores of a candidate that lifts the night and leaves the rest as it is; a drop of each may be given. */
export function makeScores(drops: { overall?: number; day?: number; night?: number } = {}): Score[] {
	const latency = {
		frames: 200,
		objects: null,
		candidate: 2.9,
		candidate_interval: [2.85, 2.95] as [number, number],
		production: 2.8,
		delta: 0.1,
		delta_interval: [0.05, 0.15] as [number, number],
	};
	return [
		makeScore({ drop: drops.overall ?? -0.05 }),
		makeScore({ slice: "day", frames: 240, objects: 900, drop: drops.day ?? 0.004 }),
		makeScore({ slice: "night", frames: 120, objects: 480, drop: drops.night ?? -0.12 }),
		makeScore({
			slice: "night-pedestrian",
			metric: "ap/pedestrian",
			frames: 120,
			objects: 160,
			drop: drops.night ?? -0.13,
		}),
		makeScore({ metric: "latency_p95_ms", ...latency }),
	];
}

/** Curves, matrices, latencies and a frame that was lost, of two models or of one. */
export function makeFigures(hasProduction = true): Figures {
	const recall = Array.from({ length: 101 }, (_, place) => place / 100);
	const curve = (power: number) => recall.map((value) => Number((1 - value ** power).toFixed(4)));
	const others = <T>(value: T) => (hasProduction ? value : null);
	const curves = [null, "night"].flatMap((slice) =>
		["vehicle", "pedestrian", null].map((category) => ({
			slice,
			category,
			iou: 0.5,
			candidate: curve(slice ? 2 : 3),
			production: others(curve(1.5)),
			reached: { candidate: category === null ? null : 60, production: others(category === null ? null : 50) },
		})),
	);
	const names = ["vehicle", "pedestrian", "background"];
	const matrix = (right: number) => [
		[right, 4, 10],
		[2, right, 12],
		[7, 9, 0],
	];
	return {
		schema: 1,
		recall,
		curves,
		classes: {
			metrics: ["ap/vehicle", "iou/road"],
			rows: [null, "night"].map((slice) => ({
				slice,
				candidate: slice === null ? [0.512, 0.9] : [0.25, null],
				production: others(slice === null ? [0.5, 0.9] : [0.35, 0.8]),
			})),
		},
		calibration: {
			edges: [0.3, 0.5, 0.75, 1],
			diagrams: [null, "night"].map((slice) => ({
				slice,
				category: slice === null ? null : "pedestrian",
				candidate: { boxes: [30, 0, 60], score: [0.41, null, 0.88], precision: [0.3, null, 0.8] },
				production: others({ boxes: [20, 40, 50], score: [0.42, 0.6, 0.86], precision: [0.4, 0.5, 0.7] }),
			})),
		},
		matched: { min_score: 0.3, min_iou: 0.5 },
		confusion: [null, "night"].map((slice) => ({
			head: "detection" as const,
			slice,
			names,
			candidate: matrix(90),
			production: others(matrix(80)),
		})),
		latency: ["candidate" as const, "production" as const, "candidate int8" as const].map((of, place) => ({
			of,
			ms: Array.from({ length: 200 }, (_, repeat) => 2 + place / 10 + (repeat % 17) / 50),
		})),
		examples: (hasProduction ? (["lost", "won"] as const) : (["worst"] as const)).map((kind) => ({
			frame: `images/${kind}.jpg`,
			attributes: { timeofday: "night" },
			sequence: null,
			kind,
			head: "detection",
			counted: "errors",
			candidate: kind === "won" ? 0 : 2,
			production: others(1),
			width: 192,
			height: 112,
			thumbnail: JPEG,
			labels: [{ category: "vehicle", box: [10, 20, 40, 30], found: { candidate: false, production: others(true) } }],
			boxes: {
				candidate: [{ category: "pedestrian", box: [11, 21, 40, 30], score: 0.71, right: false }],
				production: others([{ category: "vehicle", box: [12, 19, 38, 31], score: 0.93, right: true }]),
			},
		})),
	};
}

/** A grey frame. */
const JPEG =
	"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H////6/+b9//j/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AO//Z";

/** What a job leaves of an evaluation, as the report takes it. */
export function makeMeasured(evaluation: EvalReport): Evaluation {
	const figures = makeFigures(evaluation.production !== null);
	const figuresDigest = sha256(documentText(figures));
	const digest = sha256(documentText(evaluation));
	return { report: evaluation, digest, figures, figuresDigest, card: "# card\n", seeds: null };
}

export interface Judged {
	plan: Plan;
	jobs: Jobs;
	report: Report;
	verdict: Verdict;
}

/** All documents up to the verdict. */
export function makeJudged(scores: Score[] = makeScores(), changes: Partial<Plan> = {}, now?: Date): Judged {
	const plan = makePlan(changes);
	const jobs = makeJobs(plan);
	const evaluation = makeEvaluation(plan, scores);
	const report = makeReport(plan, jobs, makeMeasured(evaluation), "/repository");
	return { plan, jobs, report, verdict: judge(report, now) };
}

/** Three seeds of the candidate and two of production, with the noise of training in the scores of makeScores(). */
export function makeSeeds(experiment = "more-night"): NonNullable<Report["seeds"]> {
	const scores = makeScores().filter(({ metric }) => !metric.startsWith("latency_"));
	const spread = (seeds: number, deviation: number) =>
		scores.map(({ metric, slice }) => ({ metric, slice, seeds, deviation, low: 0.3, high: 0.3 + 2 * deviation }));
	const runOf = (name: string, seed: number) => ({ seed, run: `${name}-${seed}`, evaluation: `${name}-${seed}-e` });
	return {
		candidate: {
			experiment,
			runs: [0, 1, 2].map((seed) => runOf(experiment, seed)),
			next: 3,
			scores: spread(3, 0.012),
		},
		production: {
			experiment: "baseline",
			runs: [0, 4].map((seed) => runOf("baseline", seed)),
			next: 1,
			scores: spread(2, 0.009),
		},
	};
}

/** Documents whose report knows other seeds, judged again. */
export function withSeeds<J extends Judged>(judged: J, seeds = makeSeeds()): J {
	const report = { ...judged.report, seeds };
	return { ...judged, report, verdict: judge(report) };
}

/** A model that can't be told on the night and passes overall, both by less than the noise of training. */
export function makeNoisy(seeds = makeSeeds()): Judged {
	const [overall, ...others] = makeScores({ night: 0.05 });
	const held = makeScore({ drop: 0.02, spread: 0.008 });
	return withSeeds(makeJudged([{ ...overall, ...held }, ...others]), seeds);
}

/** A model that loses the day and overall: one waiver lets the day by, and one for overall has ended. */
export function makeWaived({ overall = 0, ...words }: { overall?: number; reason?: string; who?: string } = {}) {
	const { experiment } = makePlan();
	const policy = waivedBy(
		makeWaiver({ slice: "day", ...words }),
		makeWaiver({ until: "2026-06-14", line: 15, ...words }),
	);
	const changes = { policy, experiment: { ...experiment, authors: ["bob"] } };
	return makeJudged(makeScores({ day: 0.2, overall }), changes, new Date("2026-06-15T12:00:00Z"));
}

export function makePromotion({ verdict }: Judged): Promotion {
	return {
		schema: 1,
		experiment: verdict.experiment,
		model: verdict.model,
		version: 2,
		status: "approved",
		run: verdict.run,
		manifest: verdict.manifest,
		verdict: sha256(documentText(verdict)),
		replaced: verdict.baseline,
		approved_by: "ann",
		approved_at: "2026-01-02T00:00:00.000Z",
		location: "/registry/v2/model",
	};
}

/** Documents whose artefacts lie in the store; `name` tells one experiment from another, `windowed` has 300 frames of a window. */
export async function leaveJudged(
	{ registry, store }: { registry: Registry; store: Store },
	{
		name = "more-night",
		first = false,
		scores = makeScores(),
		waived = false,
		windowed = false,
		now = new Date(),
	} = {},
): Promise<Pick<Judged, "plan" | "report" | "verdict">> {
	const base = waived ? makePlan({ policy: waivedBy(makeWaiver({ slice: "day" })) }) : makePlan();
	const own = first
		? scores.map((score) => ({ ...score, production: null, delta: null, ...spreadOf("delta", null) }))
		: scores;
	const current = await registry.current("perception-hydranet");
	const baseline = current && {
		version: current.entry.version,
		run: current.entry.run,
		manifest: current.entry.manifest,
		location: current.location,
	};
	const window = windowed ? { window: { from: "2026-11-01", to: "2026-11-28" } } : {};
	if (windowed) base.data.splits.train.frames = 300;
	const run = { ...base.run, ...window, id: `${name}-0123456789abcdef`, experiment: name };
	const policy = first
		? { ...base.policy, rules: [{ ...base.policy.rules[0]!, bound: "min" as const, value: 0.1 }] }
		: base.policy;
	const plan = makePlan({
		run,
		data: base.data,
		baseline,
		experiment: { ...base.experiment, name, authors: ["bob"] },
		policy,
	});
	const weights = `weights of ${name}`;
	const manifest = documentText({
		schema: 1,
		run: run.id,
		files: [{ file: "weights.safetensors", sha256: sha256(weights), bytes: weights.length }],
	});
	const digest = sha256(manifest);
	const evaluation = { ...makeEvaluation(plan, own), ...evaluated(plan, digest) };
	const key = modelKey(run.model, run.id);
	await store.put(`${key}/weights.safetensors`, weights);
	await store.put(`${key}/manifest.json`, manifest);
	await store.put(`${evaluationKey(run.model, run.id, evaluation.run)}/eval_report.json`, documentText(evaluation));
	const jobs = { ...makeJobs(plan), evaluation: evaluation.run };
	const report = makeReport(plan, jobs, makeMeasured(evaluation), "/repository");
	return { plan, report, verdict: judge(report, now) };
}

function evaluated(plan: ReturnType<typeof makePlan>, manifest: string) {
	const run = evaluationOf(plan, manifest, 1000);
	const production = run.production && { ...run.production, parameters: 1 };
	return { run: run.id, candidate: { ...run.candidate, parameters: 1 }, production };
}

/** A version of a line as it is registered, of an evaluation. */
export function makeEntry(evaluation: string): Omit<Entry, "version"> {
	const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
	return {
		schema: 1,
		model: "line",
		experiment: "example",
		run: `run-${evaluation}`,
		evaluation,
		manifest: digest("a"),
		verdict: digest("b"),
		report: digest("c"),
		registered_at: "2026-01-01T00:00:00.000Z",
		baseline: null,
		scores: { map: 0.5 },
		architecture: {},
		train: {},
		data: {},
		code: digest("d"),
		seed: 0,
		processes: 2,
		seconds: 10,
		frames_trained: 100,
	};
}
