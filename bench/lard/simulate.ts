/** The trace-driven simulation of Pai et al.: a front end, which is a shipped policy, and a cluster behind it. */
import { type Connection, idleConnection, Node } from "./node.js";
import { FrontEnd, type StrategyName } from "./strategies.js";
import type { Workload } from "./workload.js";

export interface Setup {
  readonly nodes: number;
  readonly cacheBytes: number;
  /** Of the nodes, as a multiple of the paper's machine. */
  readonly cpuSpeed: number;
  readonly strategy: StrategyName;
  /** Of the policy. */
  readonly options?: object;
  /** Limits of the load: they bound how many connections the front end lets in, whatever the strategy. */
  readonly low: number;
  readonly high: number;
  /** Requests of the trace before the measurement begins. */
  readonly warmUp: number;
}

export interface Outcome {
  readonly requestsPerSecond: number;
  /** Requests for which a file was read, divided by all. Those that waited for a read that another began are not misses. */
  readonly missRatio: number;
  /** Part of the time that a node had less than 40 % of `low` to do; mean of the nodes. */
  readonly underused: number;
  /** From being let in to the end, milliseconds; mean. */
  readonly delayMs: number;
}

class Cluster {
  now = 0;
  private readonly nodes: Node[];
  private readonly frontEnd: FrontEnd;
  private next = 0;
  private completed = 0;
  private delay = 0;
  private readonly underuse: Underuse;
  private from = { now: 0, completed: 0, delay: 0, underused: 0, requests: 0, misses: 0 };

  constructor(
    private readonly setup: Setup,
    private readonly workload: Workload,
  ) {
    const { sizes } = workload;
    this.frontEnd = new FrontEnd(setup.nodes, sizes.length, setup.strategy, setup.options);
    this.nodes = Array.from({ length: setup.nodes }, (_, index) => {
      const done = (connection: Connection, now: number) => this.over(index, connection, now);
      return new Node(setup.cacheBytes, setup.cpuSpeed, sizes, done);
    });
    this.underuse = new Underuse(setup.nodes, 0.4 * setup.low);
  }

  run(): Outcome {
    const { nodes, low, high, warmUp } = this.setup;
    const connections = (nodes - 1) * high + low - 1;
    for (let i = 0; i < connections; i++) this.letIn(idleConnection());
    while (this.completed < warmUp) this.step();
    this.from = this.totals();
    while (this.next < this.workload.trace.length) this.step();
    this.frontEnd.close();
    return this.outcome();
  }

  /** The next request of the trace. */
  private letIn(connection: Connection): void {
    const file = this.workload.trace[this.next++];
    if (file === undefined) return;
    connection.file = file;
    connection.since = this.now;
    const index = this.frontEnd.choose(file, this.now);
    this.underuse.changed(index, this.frontEnd.active(index), this.now);
    (this.nodes[index] as Node).accept(connection, this.now);
  }

  private over(index: number, connection: Connection, now: number): void {
    this.completed++;
    this.delay += now - connection.since;
    this.frontEnd.count(index, -1);
    this.underuse.changed(index, this.frontEnd.active(index), now);
    this.letIn(connection);
  }

  /** Whatever is over first. */
  private step(): void {
    let first = this.nodes[0] as Node;
    let at = Number.POSITIVE_INFINITY;
    for (const node of this.nodes) {
      if (node.cpuAt >= at && node.diskAt >= at) continue;
      first = node;
      at = Math.min(node.cpuAt, node.diskAt);
    }
    this.now = at;
    if (first.cpuAt === at) first.cpuDone();
    else first.diskDone();
  }

  private totals() {
    const { now, completed, delay } = this;
    const sum = (count: (node: Node) => number) => this.nodes.reduce((all, node) => all + count(node), 0);
    return {
      now,
      completed,
      delay,
      underused: this.underuse.total(now),
      requests: sum((node) => node.requests),
      misses: sum((node) => node.misses),
    };
  }

  private outcome(): Outcome {
    const { from } = this;
    const to = this.totals();
    const time = to.now - from.now;
    const completed = to.completed - from.completed;
    return {
      requestsPerSecond: (completed / time) * 1e6,
      missRatio: (to.misses - from.misses) / (to.requests - from.requests),
      underused: (to.underused - from.underused) / time / this.setup.nodes,
      delayMs: (to.delay - from.delay) / completed / 1000,
    };
  }
}

/** How long nodes had less than a limit to do. */
class Underuse {
  private sum = 0;
  /** Since when each has; NaN: it does not. */
  private readonly since: Float64Array;

  constructor(
    nodes: number,
    private readonly limit: number,
  ) {
    this.since = new Float64Array(nodes);
  }

  changed(node: number, active: number, now: number): void {
    const since = this.since[node] as number;
    if (active < this.limit) {
      if (Number.isNaN(since)) this.since[node] = now;
    } else if (!Number.isNaN(since)) {
      this.sum += now - since;
      this.since[node] = Number.NaN;
    }
  }

  total(now: number): number {
    return this.since.reduce((sum, since) => (Number.isNaN(since) ? sum : sum + now - since), this.sum);
  }
}

/**
 * Runs the trace through a cluster, as fast as it goes: each connection that is over makes room for the next one. Deterministic.
 *
 * @throws RangeError if the trace is too short for the warm-up and the connections
 */
export function simulate(setup: Setup, workload: Workload): Outcome {
  const connections = (setup.nodes - 1) * setup.high + setup.low - 1;
  if (workload.trace.length < setup.warmUp + 2 * connections) {
    throw new RangeError(`a trace of ${workload.trace.length} requests is too short`);
  }
  return new Cluster(setup, workload).run();
}
