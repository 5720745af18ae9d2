/**
 * `surge.ts '<SurgeSpec as JSON>'`: user equivalents that look at the pages of a made-up site; prints a SurgeReport as JSON. The
 * load is a closed loop: a user who waits for an answer asks for nothing else.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import { fetchFile } from "./fetch.js";
import { activeOff, inactiveOff } from "./laws.js";
import {
  type PhaseReport,
  type PhaseSpec,
  type SurgeReport,
  type SurgeSpec,
  warmUpField,
} from "./protocol.js";
import { seededRandom } from "./random.js";
import { Site } from "./site.js";
import { Tally } from "./tally.js";

const spec = JSON.parse(process.argv[2] ?? "") as SurgeSpec;
const site = new Site(spec.site);
/** Between the first requests of users. */
const staggerMillis = 50;
/** How often a warm-up looks whether it is over. */
const lookMillis = 20;
const warmUpHeaders = { [warmUpField]: "1" };
const noHeaders = {};

let tally = new Tally(spec.origins);
let warmsUp = false;

const pause = (seconds: number) => sleep(warmsUp ? 0 : seconds * 1000 * spec.offScale);

async function ask(client: Client, file: number): Promise<void> {
  const { size = 0 } = site.files[file] ?? {};
  try {
    const answer = await fetchFile(client, site.pathOf(file), size, warmsUp ? warmUpHeaders : noHeaders);
    tally.add(answer);
  } catch (error) {
    tally.fail(error instanceof Error ? error.message : String(error));
    await sleep(100); // nobody asks a server again at once that just failed
  }
}

/** Looks at pages until the process ends. */
async function use(user: number): Promise<never> {
  const random = seededRandom(spec.site.seed + 1 + user);
  const client = new Client(`http://${spec.address}`, { pipelining: 1, headersTimeout: 60_000 });
  await sleep(user * staggerMillis * spec.offScale);
  for (;;) {
    let first = true;
    for (const file of site.nextView()) {
      if (!first) await pause(activeOff.sample(random));
      first = false;
      await ask(client, file);
    }
    await pause(inactiveOff.sample(random));
  }
}

async function runPhase({ puts = [], length }: PhaseSpec): Promise<PhaseReport> {
  for (const url of puts) {
    const { status } = await fetch(url, { method: "PUT" });
    if (status !== 204) throw new Error(`PUT ${url}: status ${status}`);
  }
  warmsUp = length === "warm-up";
  tally = new Tally(spec.origins);
  if (length === "warm-up")
    while (tally.failures === 0 && tally.requests < site.requestsOfPass) await sleep(lookMillis);
  else await sleep(length * 1000);
  return tally.report();
}

for (let user = 0; user < spec.users; user++) void use(user);
const phases: PhaseReport[] = [];
for (const phase of spec.phases) phases.push(await runPhase(phase));
const { user, system } = process.cpuUsage();
const report: SurgeReport = { siteBytes: site.bytes, phases, cpuSeconds: (user + system) / 1e6 };
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
