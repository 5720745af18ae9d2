/** A thread that asks a policy about few targets, as fast as it can; several of them share a table. */
import { parentPort, workerData } from "node:worker_threads";
import { lard } from "../../policies/lard/index.js";
import { lardReplicated } from "../../policies/lard-replicated/index.js";
import {
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  type PolicyModule,
  seededRandom,
} from "../../src/policy/index.js";

export interface HammerTask {
  readonly policy: "lard" | "lard-replicated";
  readonly worker: number;
  readonly shared: SharedArrayBuffer;
  readonly requests: number;
}

export interface HammerResult {
  /** What must not be: an answer that is not one backend that was offered, or an exception. */
  readonly wrong: string[];
  /** How often each backend was chosen. */
  readonly chosen: number[];
}

const { policy: name, worker, shared, requests } = workerData as HammerTask;
const module = (name === "lard" ? lard : lardReplicated) as PolicyModule<unknown>;
const { value } = module.options["~standard"].validate({ low: 2, high: 4 }) as { value: unknown };
const random = seededRandom(worker + 1);
// Each thread knows six of nine backends, so that it meets marks of some that it does not know.
const names = Array.from({ length: 6 }, (_, i) => `10.0.0.${(i + worker) % 9}:80`);
const candidates = fakeCandidates(names.map((address) => ({ address })));
const policy = module.create(value, fakeEnv({ worker, shared, random }));
const heads = Array.from({ length: 64 }, (_, n) => fakeHead({ target: `/${n}` }));
const wrong: string[] = [];
const chosen = names.map(() => 0);

for (let i = 0; i < requests && wrong.length < 5; i++) {
  const address = names[Math.floor(random() * names.length)] as string;
  const away = random() < 0.1;
  candidates.set(address, { active: Math.floor(random() * 10), eligible: !away });
  candidates.reset();
  const offered = candidates.addresses();
  try {
    void policy.select(
      heads[Math.floor(random() * heads.length)] as (typeof heads)[0],
      candidates,
      fakeContext({ now: i }),
    );
    const answer = candidates.addresses();
    const slot = candidates.slotAt(0);
    if (answer.length !== 1 || !offered.includes(answer[0] as string)) wrong.push(answer.join(" "));
    chosen[slot] = (chosen[slot] ?? 0) + 1;
  } catch (error) {
    wrong.push(String(error));
  }
}
policy.close?.();
parentPort?.postMessage({ wrong, chosen } satisfies HammerResult);
