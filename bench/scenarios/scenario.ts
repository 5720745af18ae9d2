/** What a scenario is: a measurement of its own kind, with a table of its own. */
import type { ScenarioName } from "../cells.js";
import type { Plan } from "../options.js";
import type { Progress } from "../progress.js";
import type { Topology } from "../topology.js";

export interface ScenarioContext {
  readonly plan: Plan;
  /** Loopback: what scenarios ask about does not depend on where the parts are. The packet engine's make their own. */
  readonly topology: Topology;
  /** Empty, for files. */
  readonly folder: string;
  readonly progress: Progress;
}

export interface ScenarioResult {
  readonly name: ScenarioName;
  readonly title: string;
  /** Why there is nothing to report, or null. */
  readonly failed: string | null;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** How to read the table: sentences. */
  readonly notes: readonly string[];
  /** Everything that was measured. */
  readonly raw: unknown;
  /** As SVG, by a word for each. */
  readonly plots?: Readonly<Record<string, string>>;
}

/** The result of a scenario in which requests failed: no table, but what was measured. */
export function failedScenario(
  { name, title }: Pick<ScenarioResult, "name" | "title">,
  failed: string,
  raw: unknown,
): ScenarioResult {
  return { name, title, failed, columns: [], rows: [], notes: [], raw };
}
