/** The measurements that are not cells. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ScenarioName } from "../cells.js";
import type { Plan } from "../options.js";
import { stopEverything } from "../processes.js";
import type { Progress } from "../progress.js";
import { hostLoopback } from "../topology.js";
import { runAccessLog } from "./access-log.js";
import { pipeSteps, runPipe, runSockmap, sockmapSteps } from "./bodies.js";
import { runDecision } from "./decision.js";
import { decisionsSteps, runDecisions } from "./decisions.js";
import { extraLoadSteps, runExtraLoad } from "./extra-load.js";
import { runIdle } from "./idle.js";
import { linkSetupSteps, runLinkSetup } from "./link-setup.js";
import { linksSteps, runLinks } from "./links.js";
import { localitySteps, runLocality } from "./locality.js";
import { modesSteps, runModes } from "./modes.js";
import { restRounds } from "./resident.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";
import { runWorkers } from "./workers.js";

const scenarios: Record<
  ScenarioName,
  { run: (context: ScenarioContext) => Promise<ScenarioResult>; steps: (rounds: number) => number }
> = {
  workers: { run: runWorkers, steps: (rounds) => 2 * rounds },
  idle: { run: runIdle, steps: (rounds) => 3 * restRounds(rounds) },
  decision: { run: runDecision, steps: () => 4 },
  decisions: { run: runDecisions, steps: decisionsSteps },
  accesslog: { run: runAccessLog, steps: (rounds) => 2 * rounds },
  pipe: { run: runPipe, steps: pipeSteps },
  sockmap: { run: runSockmap, steps: sockmapSteps },
  links: { run: runLinks, steps: linksSteps },
  "link-setup": { run: runLinkSetup, steps: linkSetupSteps },
  modes: { run: runModes, steps: modesSteps },
  locality: { run: runLocality, steps: localitySteps },
  "extra-load": { run: runExtraLoad, steps: extraLoadSteps },
};

/** How many steps of progress the scenarios of the plan will make. */
export function scenarioSteps(plan: Plan): number {
  return plan.scenarios.reduce((sum, name) => sum + scenarios[name].steps(plan.rounds), 0);
}

/** Runs the scenarios of the plan. What they started may still run if this throws. */
export async function runScenarios(
  plan: Plan,
  folder: string,
  progress: Progress,
): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const name of plan.scenarios) {
    const own = join(folder, name);
    mkdirSync(own, { recursive: true });
    const context = { plan, topology: hostLoopback, folder: own, progress };
    const result = await scenarios[name].run(context).catch(async (error: unknown) => {
      await stopEverything();
      return failedScenario({ name, title: name }, error instanceof Error ? error.message : `${error}`, null);
    });
    if (result.failed !== null) progress.note(`FAILED ${name}: ${result.failed}`);
    results.push(result);
  }
  return results;
}
