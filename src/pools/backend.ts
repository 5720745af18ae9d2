import type { Health } from "../policy/load-layout.js";
import { HealthCode } from "../policy/load-layout.js";
import type { Backend } from "../policy/types.js";
import { type BackendAddress, formatAddress } from "./address.js";
import { Conduct, type EjectionReason } from "./conduct.js";
import {
  forget,
  type HealthState,
  healthOf,
  isDown,
  isDraining,
  isEligible,
  isUsable,
  observe,
  obstacleOf,
  setAdvised,
  setDraining,
  setEjected,
  UNKNOWN,
} from "./health.js";
import type { LoadTable } from "./load-table.js";
import type { OutlierRules, Watched } from "./outliers.js";
import type { BackendCheck, HealthCheck, ProbeResult, ProxyProtocol } from "./probe.js";
import { Prober, type ProberDeps } from "./prober.js";
import { slowStartShare } from "./weights.js";

/** A backend as the configuration has it. */
export interface BackendSpec {
  readonly address: BackendAddress;
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the configuration says of all backends of a pool. */
export interface BackendRules {
  /** Null: nobody checks, health stays unknown. */
  readonly health: HealthCheck | null;
  /** Null: nobody watches how they treat requests. */
  readonly outliers: OutlierRules | null;
  /** How long one that comes back gets less than its weight, milliseconds; 0: not at all. */
  readonly slowStart: number;
  readonly proxyProtocol: ProxyProtocol;
  /** Exchanges at once per backend; 0 = unlimited. */
  readonly maxConnections: number;
}

/** What a backend says of itself, or somebody who knows it better than we do. What is missing is as configured. */
export interface Advice {
  /** The part of its weight that it wants, from 0 (only if nothing else is left) to 1; counts in hundredths. */
  readonly weight?: number;
  /** `drain`: no new requests. `down`: nor an answer to those under way. Checks and orders of the admin can only add to that. */
  readonly state?: "up" | "drain" | "down";
  /**
   * Exchanges at once, if that is less than configured; 0 = unlimited. Links count as one each, so a pool whose backends set limits of
   * their own wants `forward: exchange`.
   */
  readonly maxConnections?: number;
  /** For the log. */
  readonly reason: string;
}

/** What the outside may know of a backend at this moment. */
export interface BackendStatus {
  readonly pool: string;
  readonly address: string;
  readonly slot: number;
  readonly health: Health;
  /** Why it is what it is: what keeps it out, or else the reason of the last change; empty if there was none. */
  readonly reason: string;
  /** Whether it may be given new requests. */
  readonly eligible: boolean;
  /** As configured. */
  readonly weight: number;
  /** The part of it that is in effect, in percent. */
  readonly weightPercent: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly active: number;
  readonly requests: number;
  readonly errors: number;
  readonly connections: number;
  readonly ewmaMicros: number;
  /** How often it was ejected, by reason. */
  readonly ejections: Readonly<Record<EjectionReason, number>>;
}

/** A backend's health changed. */
export interface HealthEvent {
  readonly pool: string;
  readonly address: string;
  readonly from: Health;
  readonly to: Health;
  /** The last check's outcome, `ordered` for drain and enable, or why it was ejected or came back. */
  readonly reason: string;
}

/** What a backend tells those who keep it. */
export interface BackendListener {
  /** Its health changed; the load table has it already. */
  readonly onHealth: (event: HealthEvent) => void;
  /** It gets another part of its weight from now on. Called before requests may be given to it. */
  readonly onShare: (pool: string) => void;
}

/** Of a state, what a reason can be given for. */
const PARTS = ["observed", "draining", "ejected", "advised"] as const;

/** One backend of one pool: its row of the load table, its health, its prober. */
export class PooledBackend implements Watched {
  readonly address: string;
  readonly conduct: Conduct;
  /** The face that policies see; replaced when the labels change. */
  backend: Backend;
  private state: HealthState = UNKNOWN;
  private reason = "";
  /** Why each part of the state is what it is. */
  private readonly reasons = { observed: "", draining: "", ejected: "", advised: "" };
  private prober: Prober | undefined;
  private probed: string | undefined;
  private slowStart = 0;
  /** When it came back, while it starts slowly. */
  private backSince: number | undefined;
  private advice: Advice = { reason: "" };
  /** As configured. */
  private maxConnections = 0;
  /** The part that is in effect. */
  private share = 1;

  constructor(
    private readonly pool: string,
    private spec: BackendSpec,
    private readonly slot: number,
    private readonly table: LoadTable,
    private readonly listener: BackendListener,
    private readonly deps: ProberDeps,
  ) {
    this.address = formatAddress(spec.address);
    this.backend = this.face();
    this.conduct = new Conduct(table, slot);
    this.publish();
  }

  private face(): Backend {
    const { weight, labels } = this.spec;
    return { slot: this.slot, address: this.address, weight, labels };
  }

  /** Takes over a configuration. Health survives unless nothing checks it any more, an ejection unless nobody watches. */
  configure(spec: BackendSpec, rules: BackendRules): void {
    this.spec = spec;
    this.backend = this.face();
    this.slowStart = rules.slowStart;
    this.maxConnections = rules.maxConnections;
    this.limit();
    this.conduct.countFailuresFrom(rules.outliers?.failuresFrom ?? 0);
    if (rules.outliers === null) this.readmit("no longer watched");
    const { health, proxyProtocol } = rules;
    this.watch(health === null ? null : { ...health, proxyProtocol });
  }

  /** Stops giving it new requests, or starts again. What is under way goes on. */
  setDraining(draining: boolean): void {
    this.conduct.forgetRuns();
    this.change(setDraining(this.state, draining), "ordered");
  }

  /** Does as it is advised, instead of what was advised before. */
  advise(advice: Advice): void {
    this.advice = advice;
    this.limit();
    this.listener.onShare(this.pool);
    this.reasons.advised = advice.reason;
    this.change(setAdvised(this.state, advice.state ?? "up"), advice.reason);
  }

  /** From now on it has to earn its whole weight, if the pool is one of that kind. */
  startSlowly(): void {
    this.backSince = this.slowStart > 0 ? performance.now() : undefined;
  }

  /** Whether its share grows with time. */
  get startsSlowly(): boolean {
    return this.backSince !== undefined;
  }

  /** The part of its weight that it gets at this time, 0 to 1. */
  shareAt(now: number): number {
    if (this.backSince === undefined) return this.advisedShare;
    return this.advisedShare * slowStartShare(now - this.backSince, this.slowStart);
  }

  get weight(): number {
    return this.spec.weight;
  }

  /** Puts a weight into effect, which is this part of the whole. */
  writeWeight(weight: number, share: number): void {
    this.table.write(this.slot, "weight", weight);
    this.share = share;
    if (share >= this.advisedShare) this.backSince = undefined;
  }

  get draining(): boolean {
    return isDraining(this.state);
  }

  get usable(): boolean {
    return isUsable(this.state);
  }

  get ejected(): boolean {
    return this.state.ejected;
  }

  eject(detail: string): void {
    this.change(setEjected(this.state, true), detail);
  }

  readmit(detail: string): void {
    this.change(setEjected(this.state, false), detail);
  }

  status(): BackendStatus {
    const read = this.table.read.bind(this.table, this.slot);
    return {
      pool: this.pool,
      address: this.address,
      slot: this.slot,
      health: healthOf(this.state),
      reason: this.reason,
      eligible: isEligible(this.state),
      weight: this.spec.weight,
      weightPercent: Math.round(this.share * 100),
      labels: this.spec.labels,
      active: read("active"),
      // Counters wrap at 32 bits; as unsigned numbers they go on to 2^32 before they start over.
      requests: read("requests") >>> 0,
      errors: read("errors") >>> 0,
      connections: read("connections"),
      ewmaMicros: read("ewmaMicros"),
      ejections: this.conduct.ejections,
    };
  }

  /** Stops checking; `configure` starts again. Workers that still know it may go on choosing it. */
  close(): void {
    this.prober?.stop();
    this.prober = undefined;
    this.probed = undefined;
  }

  /** Replaces the prober if the check is another one; a changed check starts with what the old one found. */
  private watch(check: BackendCheck | null): void {
    const { address } = this.spec;
    // There is no one place to ask; the configuration refuses this.
    if (address.kind === "original-destination") return;
    const wanted = check === null ? undefined : JSON.stringify(check);
    if (wanted === this.probed) return;
    this.probed = wanted;
    this.prober?.stop();
    this.prober = undefined;
    if (check === null) {
      this.change(forget(this.state), "no longer checked");
      return;
    }
    const onResult = (result: ProbeResult): boolean => {
      this.change(observe(this.state, result.passed, check), result.detail);
      return this.state.against > 0;
    };
    this.prober = new Prober(address, check, onResult, this.deps);
  }

  private get advisedShare(): number {
    return Math.round(Math.min(1, Math.max(0, this.advice.weight ?? 1)) * 100) / 100;
  }

  private limit(): void {
    const limits = [this.maxConnections, this.advice.maxConnections ?? 0].filter((limit) => limit > 0);
    this.table.write(this.slot, "maxConnections", limits.length === 0 ? 0 : Math.min(...limits));
  }

  private change(state: HealthState, reason: string): void {
    const before = this.state;
    this.state = state;
    const [from, to] = [healthOf(before), healthOf(state)];
    if (isEligible(before) !== isEligible(state)) {
      if (isEligible(state)) this.startSlowly();
      else this.backSince = undefined;
      this.listener.onShare(this.pool);
    }
    this.publish();
    for (const part of PARTS) if (before[part] !== state[part]) this.reasons[part] = reason;
    const obstacle = obstacleOf(state);
    if (obstacle !== undefined) this.reason = this.reasons[obstacle];
    else if (from !== to) this.reason = reason;
    if (from === to) return;
    this.listener.onHealth({ pool: this.pool, address: this.address, from, to, reason });
  }

  private publish(): void {
    const { state } = this;
    // Links to a backend that is down are cut; one that was ejected still answers what it was asked.
    const inUse = state.ejected && !isDown(state) && !isDraining(state);
    this.table.write(this.slot, "health", HealthCode[inUse ? state.observed : healthOf(state)]);
    this.table.write(this.slot, "eligible", isEligible(this.state) ? 1 : 0);
  }
}
