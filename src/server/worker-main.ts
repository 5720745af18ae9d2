/** Entry point of a worker thread: a data plane and the policies that decide for it. */
import { parentPort, workerData } from "node:worker_threads";
import { DataPlane } from "../dataplane/index.js";
import type { FromWorker, ToWorker, WorkerBirth, WorkerPlan } from "./messages.js";
import { WorkerPolicies } from "./worker-policies.js";

const port = parentPort;
if (port === null) throw new Error("worker-main runs in a worker thread");
const birth = workerData as WorkerBirth;
const post = (message: FromWorker, given: ArrayBuffer[] = []) => port.postMessage(message, given);

const load = new Int32Array(birth.load);
const policies = new WorkerPolicies({
  worker: birth.worker,
  workers: birth.workers,
  load,
  policiesInUse: () => dataPlane.policiesInUse(),
  log: (level, message, fields) =>
    post({ kind: "log", level, message, ...(fields === undefined ? {} : { fields }) }),
});
const { engine, pipeFrom, sockmapFrom, sockmapTo, worker } = birth;
const { headerBytes } = birth.plan.snapshot.limits;
const dataPlane: DataPlane = new DataPlane(
  { load, headerBytes, engine, pipeFrom, sockmapFrom, sockmapTo, worker },
  {
    select: (head, candidates) => policies.select(head, candidates, dataPlane),
    done: (...report) => policies.done(...report),
    accessLog: (lines) => post({ kind: "access", lines }, [lines.buffer]),
    log: (level, message) => post({ kind: "log", level, message }),
    drained: () => post({ kind: "drained" }),
  },
);

async function apply(plan: WorkerPlan): Promise<void> {
  const pools = await policies.apply(plan);
  dataPlane.apply({ ...plan.snapshot, pools });
}

async function reload(plan: WorkerPlan): Promise<void> {
  const { generation } = plan;
  try {
    await apply(plan);
    post({ kind: "applied", generation });
  } catch (error) {
    post({ kind: "applied", generation, error: error instanceof Error ? error.message : String(error) });
  }
}

function handle(message: ToWorker): void | Promise<void> {
  switch (message.kind) {
    case "apply":
      return reload(message.plan);
    case "stats":
      return post({
        kind: "stats",
        id: message.id,
        stats: dataPlane.stats(),
        policies: policies.problems(),
      });
    case "drain":
      return dataPlane.drain();
    case "close":
      dataPlane.close();
      policies.close();
      port?.close();
  }
}

await apply(birth.plan);
for (const listener of birth.listeners) dataPlane.listen(listener);
port.on("message", handle);
post({ kind: "ready" });
