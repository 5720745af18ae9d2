/** Puts targets side by side, each with an origin behind it. */
import { mkdirSync } from "node:fs";
import type { OriginName, TargetName } from "./cells.js";
import { type Origin, startOrigin, startTarget, type Target, type TargetOptions } from "./targets.js";
import { openTopology, type Topology, type TopologyName } from "./topology.js";

/** A target that can be measured. */
export interface Entrant {
  readonly target: Target;
  readonly origin: Origin;
  readonly topology: Topology;
}

export interface Lineup {
  readonly entrants: readonly Entrant[];
  /** Why targets are not among the entrants. */
  readonly absent: ReadonlyMap<TargetName, string>;
  close(): Promise<void>;
}

export interface LineupOptions extends Pick<TargetOptions, "workers" | "folder" | "variant"> {
  readonly topology: TopologyName;
  readonly origin: OriginName;
  readonly targets: readonly TargetName[];
}

/**
 * Starts the targets and their origins. The packet engine looks at every packet of the interfaces that it is attached
 * to, so `splice` has a topology and an origin of its own: the others, `direct` above all, shall not pay for it.
 */
export async function openLineup(options: LineupOptions): Promise<Lineup> {
  const entrants: Entrant[] = [];
  const absent = new Map<TargetName, string>();
  const close: (() => Promise<void>)[] = [];
  const groups = [
    options.targets.filter((name) => name !== "splice"),
    options.targets.filter((name) => name === "splice"),
  ];
  for (const group of groups.filter((names) => names.length > 0)) {
    const topology = await openTopology(options.topology);
    close.push(() => topology.close());
    const folder = `${options.folder}/${group[0]}`;
    mkdirSync(folder, { recursive: true });
    const origin = await startOrigin(options.origin, topology, folder);
    close.push(() => origin.server.stop());
    for (const name of group) {
      const { workers, variant = "plain" } = options;
      // A proxy has one backend, unless it shall choose; what goes to the origin directly uses both of its addresses, as
      // clients do.
      const all = name === "direct" || variant === "split";
      const origins = all ? origin.addresses : origin.addresses.slice(0, 1);
      try {
        const target = await startTarget(name, { topology, origins, workers, folder, variant });
        close.push(async () => target.server?.stop());
        entrants.push({ target, origin, topology });
      } catch (error) {
        absent.set(name, error instanceof Error ? error.message : String(error));
      }
    }
  }
  return {
    entrants,
    absent,
    close: async () => {
      for (const step of close.reverse()) await step();
    },
  };
}
