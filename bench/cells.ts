/** What is measured: each cell is one situation in which all targets are compared. */
import type { TopologyName } from "./topology.js";

export const bodySizes = [0, 128, 16_384, 1_048_576] as const;
/** `longsplice` forwards each exchange and copies; `splice` is longsplice with the packet engine. */
export const targetNames = ["direct", "splice", "longsplice", "haproxy", "nginx"] as const;
export const scenarioNames = [
  "workers",
  "idle",
  "decision",
  "decisions",
  "accesslog",
  "pipe",
  "sockmap",
  "links",
  "link-setup",
  "modes",
  "locality",
  "extra-load",
] as const;
/** Scenarios whose engine needs root. */
export const packetScenarios: readonly ScenarioName[] = ["sockmap", "links", "link-setup", "modes"];

export type TargetName = (typeof targetNames)[number];
export type ScenarioName = (typeof scenarioNames)[number];
export type OriginName = "native" | "nginx";
export type LoadName = "wrk" | "autocannon";
export type ConnectionMode = "keep-alive" | "close";

export interface Cell {
  /** `packet`: the situations in which the packet engine has limits to keep. */
  readonly programme: "general" | "packet";
  readonly topology: TopologyName;
  readonly mode: ConnectionMode;
  /** Bytes in the body of each answer. */
  readonly size: number;
  readonly load: LoadName;
  readonly origin: OriginName;
  /** That the load generator keeps busy. */
  readonly connections: number;
}

/** "0 B", "128 B", "16 KB", "1 MB" (powers of 1024). */
export function sizeText(bytes: number): string {
  if (bytes >= 1_048_576) return `${bytes / 1_048_576} MB`;
  return bytes >= 1024 ? `${bytes / 1024} KB` : `${bytes} B`;
}

/** All but the size: cells of one group share a plot. */
export function groupOf(cell: Cell): string {
  const group = [cell.topology, cell.mode, cell.load, cell.origin].join("/");
  return cell.programme === "general" ? group : `${cell.programme}/${group}`;
}

/** Unique, and what `--only` is compared with: `loopback/keep-alive/wrk/native/128B`. */
export function cellId(cell: Cell): string {
  return `${groupOf(cell)}/${sizeText(cell.size).replace(" ", "")}`;
}

/** The same for all bodies, so that one condition holds for the whole table of the packet engine. */
const packetConnections = 32;

/** Large bodies fill the machine with few connections. */
const connectionsFor = (size: number): number => (size >= 1_048_576 ? 16 : 64);

/** `--only packet`. */
function packetCells(): Cell[] {
  const cell = (topology: TopologyName, mode: ConnectionMode, size: number): Cell => ({
    programme: "packet",
    topology,
    mode,
    size,
    load: "wrk",
    origin: "native",
    connections: packetConnections,
  });
  return (["loopback", "routed"] as const).flatMap((topology) => [
    ...bodySizes.filter((size) => size > 0).map((size) => cell(topology, "keep-alive", size)),
    cell(topology, "close", 128),
  ]);
}

/**
 * The full programme. wrk and the native origin are measured everywhere; autocannon and nginx as an origin are second
 * opinions, and only where they can give one: autocannon does not open a connection for each request.
 */
export function allCells(): Cell[] {
  const group = (topology: TopologyName, mode: ConnectionMode, load: LoadName, origin: OriginName): Cell[] =>
    bodySizes.map((size) => {
      const connections = connectionsFor(size);
      return { programme: "general", topology, mode, size, load, origin, connections };
    });
  return [
    ...group("loopback", "keep-alive", "wrk", "native"),
    ...group("loopback", "close", "wrk", "native"),
    ...group("routed", "keep-alive", "wrk", "native"),
    ...group("routed", "close", "wrk", "native"),
    ...group("loopback", "keep-alive", "wrk", "nginx"),
    ...group("loopback", "keep-alive", "autocannon", "native"),
    ...packetCells(),
  ];
}

/** The few cells of `--quick`. */
export function quickCells(): Cell[] {
  const wanted = [
    "loopback/keep-alive/wrk/native/128B",
    "loopback/keep-alive/wrk/native/16KB",
    "loopback/close/wrk/native/128B",
    "routed/keep-alive/wrk/native/128B",
  ];
  return allCells().filter((cell) => wanted.includes(cellId(cell)));
}

/** Does the pattern (a part of the id; `*` stands for anything) match? */
export function matches(id: string, pattern: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(parts.join(".*")).test(id);
}
