import type { Health } from "../policy/load-layout.js";
import { HealthCode } from "../policy/load-layout.js";
import type { Backend } from "../policy/types.js";
import { type BackendAddress, formatAddress } from "./address.js";
import { forget, type HealthState, healthOf, isEligible, observe, setDraining, UNKNOWN } from "./health.js";
import type { LoadTable } from "./load-table.js";
import {
  type BackendCheck,
  type HealthCheck,
  type ProbeResult,
  Prober,
  type ProberDeps,
  type ProxyProtocol,
} from "./prober.js";

/** A backend as the configuration has it. */
export interface BackendSpec {
  readonly address: BackendAddress;
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * A pool as the configuration has it, as far as this layer cares. Of two backends with one address the later
 * counts.
 */
export interface PoolSpec {
  readonly name: string;
  readonly backends: readonly BackendSpec[];
  /** Null: nobody checks, health stays unknown. */
  readonly health: HealthCheck | null;
  readonly proxyProtocol: ProxyProtocol;
  /** Exchanges at once per backend; 0 = unlimited. */
  readonly maxConnections: number;
}

/** What the outside may know of a backend at this moment. */
export interface BackendStatus {
  readonly pool: string;
  readonly address: string;
  readonly slot: number;
  readonly health: Health;
  /** Whether it may be given new requests. */
  readonly eligible: boolean;
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly active: number;
  readonly requests: number;
  readonly errors: number;
  readonly connections: number;
  readonly ewmaMicros: number;
}

/** A backend's health changed. */
export interface HealthEvent {
  readonly pool: string;
  readonly address: string;
  readonly from: Health;
  readonly to: Health;
  /** The last check's outcome, or `ordered` for drain and enable. */
  readonly reason: string;
}

/** One backend of one pool: its row of the load table, its health, its prober. */
export class PooledBackend {
  readonly address: string;
  /** The face that policies see; replaced when the labels change. */
  backend: Backend;
  private state: HealthState = UNKNOWN;
  private prober: Prober | undefined;
  private probed: string | undefined;

  constructor(
    private readonly pool: string,
    private spec: BackendSpec,
    private readonly slot: number,
    private readonly table: LoadTable,
    private readonly onHealth: (event: HealthEvent) => void,
    private readonly deps: ProberDeps,
  ) {
    this.address = formatAddress(spec.address);
    this.backend = { slot, address: this.address, labels: spec.labels };
    this.publish();
  }

  /** Takes over a configuration. Health survives unless nothing checks it any more. */
  configure(spec: BackendSpec, pool: PoolSpec): void {
    this.spec = spec;
    this.backend = { slot: this.slot, address: this.address, labels: spec.labels };
    this.table.write(this.slot, "weight", spec.weight);
    this.table.write(this.slot, "maxConnections", pool.maxConnections);
    const { health, proxyProtocol } = pool;
    this.watch(health === null ? null : { ...health, proxyProtocol });
  }

  /** Stops giving it new requests, or starts again. What is under way goes on. */
  setDraining(draining: boolean): void {
    this.change(setDraining(this.state, draining), "ordered");
  }

  status(): BackendStatus {
    const read = this.table.read.bind(this.table, this.slot);
    return {
      pool: this.pool,
      address: this.address,
      slot: this.slot,
      health: healthOf(this.state),
      eligible: isEligible(this.state),
      weight: this.spec.weight,
      labels: this.spec.labels,
      active: read("active"),
      // Counters wrap at 32 bits; as unsigned numbers they go on to 2^32 before they start over.
      requests: read("requests") >>> 0,
      errors: read("errors") >>> 0,
      connections: read("connections"),
      ewmaMicros: read("ewmaMicros"),
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
    const onResult = (result: ProbeResult) =>
      this.change(observe(this.state, result.passed, check), result.detail);
    this.prober = new Prober(address, check, onResult, this.deps);
  }

  private change(state: HealthState, reason: string): void {
    const from = healthOf(this.state);
    this.state = state;
    const to = healthOf(state);
    if (from === to) return;
    this.publish();
    this.onHealth({ pool: this.pool, address: this.address, from, to, reason });
  }

  private publish(): void {
    this.table.write(this.slot, "health", HealthCode[healthOf(this.state)]);
    this.table.write(this.slot, "eligible", isEligible(this.state) ? 1 : 0);
  }
}
