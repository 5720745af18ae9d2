/** The shipped policies, as strategies of the simulated front end. */
import { lard } from "../../policies/lard/index.js";
import { lardReplicated } from "../../policies/lard-replicated/index.js";
import { leastConnections } from "../../policies/least-connections/index.js";
import { roundRobin } from "../../policies/round-robin/index.js";
import { uriHash } from "../../policies/uri-hash/index.js";
import {
  type Backend,
  Candidates,
  fakeContext,
  fakeEnv,
  type Policy,
  type PolicyModule,
  type SelectContext,
} from "../../src/policy/index.js";
import { LOAD_ROW_CELLS, LoadCell } from "../../src/policy/load-layout.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const modules: readonly PolicyModule<unknown>[] = [
  roundRobin,
  leastConnections,
  uriHash,
  lard,
  lardReplicated,
];
const registry = new PolicyRegistry(modules);

export const strategyNames = [
  "round-robin",
  "least-connections",
  "uri-hash",
  "lard",
  "lard-replicated",
] as const;
export type StrategyName = (typeof strategyNames)[number];

/** The front end: a policy, and how many connections each node has. */
export class FrontEnd {
  /** Requests in the nodes, by node. */
  private readonly load: Int32Array;
  private readonly slots: Int32Array;
  private readonly candidates: Candidates;
  private readonly policy: Policy;
  private readonly context: { -readonly [Name in keyof SelectContext]: SelectContext[Name] };
  private readonly head = {
    method: "GET",
    target: "",
    path: "",
    query: "",
    host: "site.example",
    header: () => undefined,
  };
  private readonly paths: readonly string[];

  /** @throws LongspliceError LS_POLICY_OPTIONS */
  constructor(
    private readonly nodes: number,
    files: number,
    name: StrategyName,
    options: object | undefined,
  ) {
    this.load = new Int32Array(nodes * LOAD_ROW_CELLS);
    this.slots = new Int32Array(nodes + 1);
    const backends: Backend[] = Array.from({ length: nodes }, (_, slot) => {
      this.load[slot * LOAD_ROW_CELLS + LoadCell.weight] = 1;
      return { slot, address: `10.0.0.${slot + 1}:80`, weight: 1, labels: {} };
    });
    this.candidates = new Candidates(this.load, this.slots, backends);
    const shared = new SharedArrayBuffer(registry.sharedBytes(name, options));
    this.policy = registry.createChain([{ name, options, shared }], fakeEnv({ backends }));
    this.context = fakeContext();
    this.paths = Array.from({ length: files }, (_, file) => `/files/${file}.html`);
  }

  /** Sends a request for a file to a node, which has one connection more then. */
  choose(file: number, nowMicros: number): number {
    const { slots, head, context, nodes } = this;
    slots[0] = nodes;
    for (let slot = 0; slot < nodes; slot++) slots[slot + 1] = slot;
    const path = this.paths[file] as string;
    head.target = path;
    head.path = path;
    context.now = nowMicros / 1000;
    void this.policy.select(head, this.candidates, context);
    const node = this.candidates.slotAt(0);
    this.count(node, 1);
    return node;
  }

  /** A node's connections become more or fewer. */
  count(node: number, by: number): void {
    const cell = node * LOAD_ROW_CELLS + LoadCell.active;
    this.load[cell] = this.active(node) + by;
  }

  active(node: number): number {
    return this.load[node * LOAD_ROW_CELLS + LoadCell.active] as number;
  }

  close(): void {
    this.policy.close?.();
  }
}
