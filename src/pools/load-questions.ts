import type { Client } from "undici";
import { formatAddress } from "./address.js";
import { askAgentCheck, type BackendOrders, NO_ORDERS, parseAgentCheck, steady } from "./agent-check.js";
import type { LoadReports } from "./load-report.js";
import { parseOrcaJson } from "./orca.js";

/** Something that an agent can be asked. */
export interface Question {
  /** Asks once, and puts the answer where it belongs unless `signal` has aborted. Rejects if there is no good answer. */
  ask(signal: AbortSignal): Promise<void>;
  /** What was said holds no longer. */
  forget(): void;
  close(): void;
}

/** Asks `longsplice agent`. The connection stays open between questions: whether the backend accepts is not the point here. */
export class AgentQuestion implements Question {
  private client: Promise<Client> | undefined;

  constructor(
    private readonly host: string,
    private readonly port: number,
    private readonly timeout: number,
    private readonly slot: number,
    private readonly reports: LoadReports,
  ) {}

  async ask(signal: AbortSignal): Promise<void> {
    this.client ??= this.open();
    const { statusCode, body } = await (await this.client).request({ method: "GET", path: "/", signal });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
    const figures = parseOrcaJson(text);
    if (figures === undefined) throw new Error("the answer is no load report");
    if (!signal.aborted) this.reports.write(this.slot, figures);
  }

  forget(): void {}

  close(): void {
    this.client?.then((client) => client.destroy()).catch(() => {});
  }

  private async open(): Promise<Client> {
    const { Client } = await import("undici");
    const origin = `http://${formatAddress({ kind: "tcp", host: this.host, port: this.port })}`;
    // An agent sends a few hundred bytes.
    return new Client(origin, { connect: { timeout: this.timeout }, maxResponseSize: 64 * 1024 });
  }
}

/** Asks an agent that speaks HAProxy's protocol. */
export class AgentCheckQuestion implements Question {
  /**
   * @param obey told of the orders in effect after each answer
   * @param orders those in effect until the first one
   */
  constructor(
    private readonly host: string,
    private readonly port: number,
    private readonly obey: (orders: BackendOrders) => void,
    public orders = NO_ORDERS,
  ) {}

  async ask(signal: AbortSignal): Promise<void> {
    const line = await askAgentCheck(this.host, this.port, signal);
    const orders = parseAgentCheck(line, this.orders);
    if (orders === undefined) {
      const begin = JSON.stringify(line.slice(0, 80));
      throw new Error(`not a word of the agent-check protocol: ${begin}`);
    }
    if (signal.aborted) return;
    this.orders = steady(orders, this.orders);
    this.obey(this.orders);
  }

  forget(): void {
    this.orders = NO_ORDERS;
  }

  close(): void {}
}
