/** What is simulated, and what has to come out. */
import type { Outcome, Setup } from "./simulate.js";
import { type StrategyName, strategyNames } from "./strategies.js";
import type { WorkloadShape } from "./workload.js";

const MB = 1e6;
const MIB = 2 ** 20;

/** Like the Rice trace: 37,703 files of 1,418 MB. How popularity and size go together is in docs/benchmarking.md. */
export const riceLike = { files: 37_703, totalBytes: 1418 * MB, exponent: 1.37, offset: 20 } as const;

/** What the files of the Rice trace that get the most requests take, by their share of the requests. */
export const riceCoverage = [
  { share: 0.97, megabytes: 560 },
  { share: 0.98, megabytes: 705 },
  { share: 0.99, megabytes: 927 },
] as const;

export type ExperimentName = "rice" | "fits" | "hot" | "hot-fast" | "t-high" | "k";

/** One point: a run of the simulator. */
export interface Run extends Setup {
  /** What is varied, if it is not the number of nodes. */
  readonly variant?: string;
}

export interface Experiment {
  readonly name: ExperimentName;
  readonly title: string;
  readonly shape: WorkloadShape;
  readonly runs: readonly Run[];
}

export interface RunResult {
  readonly run: Run;
  readonly outcome: Outcome;
}

export interface ExperimentResult {
  readonly experiment: Experiment;
  readonly results: readonly RunResult[];
}

export interface Scale {
  /** Requests of a trace; the first half is the warm-up. */
  readonly requests: number;
  /** Numbers of nodes for the main experiment. */
  readonly nodes: readonly number[];
  /** And for those with a hot target. */
  readonly hotNodes: readonly number[];
  /** Whether T_high and K are varied. */
  readonly sensitivity: boolean;
}

export const fullScale: Scale = {
  requests: 800_000,
  nodes: [1, 2, 3, 4, 6, 8, 10, 12, 14, 16],
  hotNodes: [8, 12, 16],
  sensitivity: true,
};
export const quickScale: Scale = { requests: 200_000, nodes: [1, 8, 16], hotNodes: [16], sensitivity: false };

/** Fast nodes are busy with a hot target only when they have the rest in their caches. Shorter traces do not get there. */
const HOT_FAST_REQUESTS = 800_000;

const lards = ["lard", "lard-replicated"] as const satisfies readonly StrategyName[];
const paper = { cacheBytes: 32 * MIB, cpuSpeed: 1, low: 25, high: 65 } as const;
const hotFast = { cpuSpeed: 4, warmUp: HOT_FAST_REQUESTS / 2 } as const;

/** Each strategy with each number of nodes; what is not given is as in the paper. */
function grid(
  nodes: readonly number[],
  strategies: readonly StrategyName[],
  more: Partial<Run> & Pick<Run, "warmUp">,
): Run[] {
  return nodes.flatMap((count) =>
    strategies.map((strategy) => ({ ...paper, nodes: count, strategy, ...more })),
  );
}

/** Every experiment of a scale. */
export function experiments({ requests, nodes, hotNodes, sensitivity }: Scale): Experiment[] {
  const warmUp = requests / 2;
  const rice = { ...riceLike, requests };
  const hot = { ...rice, hotShare: 0.1 };
  const main: Experiment[] = [
    { name: "rice", title: "Rice-like set", shape: rice, runs: grid(nodes, strategyNames, { warmUp }) },
    {
      name: "fits",
      title: "A set of 16 MB, which fits into the cache of each node",
      shape: { ...rice, files: 425, totalBytes: 16 * MB },
      runs: grid([1, 8, 16], strategyNames, { warmUp }),
    },
    {
      name: "hot",
      title: "Rice-like set, one target more, which gets 10 % of the requests",
      shape: hot,
      runs: grid(hotNodes, strategyNames, { warmUp }),
    },
    {
      name: "hot-fast",
      title: "The same, with processors four times as fast",
      shape: { ...hot, requests: HOT_FAST_REQUESTS },
      runs: grid(hotNodes, ["round-robin", ...lards], hotFast),
    },
  ];
  return sensitivity ? [...main, ...sensitivityTo(rice, warmUp)] : main;
}

function sensitivityTo(rice: WorkloadShape, warmUp: number): Experiment[] {
  return [
    {
      name: "t-high",
      title: "Rice-like set, T_high",
      shape: rice,
      runs: [35, 65, 130].flatMap((high) =>
        grid([8], lards, { warmUp, high, options: { high }, variant: `T_high ${high}` }),
      ),
    },
    {
      name: "k",
      title: "Hot target, processors four times as fast, K",
      shape: { ...rice, hotShare: 0.1, requests: HOT_FAST_REQUESTS },
      runs: [5, 20, 80].flatMap((seconds) =>
        grid([16], ["lard-replicated"], {
          ...hotFast,
          options: { shrinkAfter: seconds * 1000 },
          variant: `K ${seconds} s`,
        }),
      ),
    },
  ];
}

export interface Expectation {
  readonly what: string;
  readonly wanted: string;
  readonly ratio: number;
  readonly met: boolean;
}

/**
 * What the paper found, and whether it came out.
 *
 * @param isPart not everything was simulated: what was not is left out, else it counts as missed
 */
export function expectations(all: readonly ExperimentResult[], isPart: boolean): Expectation[] {
  const outcome = (name: ExperimentName, nodes: number, strategy: StrategyName): Outcome | undefined => {
    const results = all.find(({ experiment }) => experiment.name === name)?.results ?? [];
    return results.find(({ run }) => run.nodes === nodes && run.strategy === strategy)?.outcome;
  };
  const compare = (
    [name, nodes]: readonly [ExperimentName, number],
    one: StrategyName,
    other: StrategyName,
    wanted: string,
    met: (ratio: number) => boolean,
  ): Expectation[] => {
    const [ours, theirs] = [outcome(name, nodes, one), outcome(name, nodes, other)];
    if (isPart && (ours === undefined || theirs === undefined)) return [];
    const rate = (found: Outcome | undefined) => found?.requestsPerSecond ?? Number.NaN;
    const ratio = rate(ours) / rate(theirs);
    const what = `${name}, n=${nodes}: requests/s of ${one} to those of ${other}`;
    return [{ what, wanted, ratio, met: met(ratio) }];
  };
  return [
    compare(["rice", 8], "lard", "round-robin", "at least 2", (ratio) => ratio >= 2),
    compare(["rice", 16], "lard", "uri-hash", "above 1", (ratio) => ratio > 1),
    compare(["fits", 8], "lard", "round-robin", "0.9 to 1.1", (ratio) => Math.abs(ratio - 1) <= 0.1),
    compare(["hot", 8], "lard-replicated", "lard", "above 1", (ratio) => ratio > 1),
    compare(["hot-fast", 16], "lard-replicated", "lard", "above 1", (ratio) => ratio > 1),
  ].flat();
}
