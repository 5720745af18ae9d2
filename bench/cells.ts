/** What is measured: each cell is one situation in which all targets are compared. */
import type { TopologyName } from "./topology.js";

export const bodySizes = [0, 128, 16_384, 1_048_576] as const;
export const targetNames = ["direct", "longsplice", "haproxy", "nginx"] as const;
export const scenarioNames = ["workers", "idle", "decision", "accesslog"] as const;

export type TargetName = (typeof targetNames)[number];
export type ScenarioName = (typeof scenarioNames)[number];
export type OriginName = "native" | "nginx";
export type LoadName = "wrk" | "autocannon";
export type ConnectionMode = "keep-alive" | "close";

export interface Cell {
  readonly topology: TopologyName;
  readonly mode: ConnectionMode;
  /** Bytes in the body of each answer. */
  readonly size: number;
  readonly load: LoadName;
  readonly origin: OriginName;
}

/** "0 B", "128 B", "16 KB", "1 MB" (powers of 1024). */
export function sizeText(bytes: number): string {
  if (bytes >= 1_048_576) return `${bytes / 1_048_576} MB`;
  return bytes >= 1024 ? `${bytes / 1024} KB` : `${bytes} B`;
}

/** All but the size: cells of one group share a plot. */
export function groupOf(cell: Cell): string {
  return [cell.topology, cell.mode, cell.load, cell.origin].join("/");
}

/** Unique, and what `--only` is compared with: `loopback/keep-alive/wrk/native/128B`. */
export function cellId(cell: Cell): string {
  return `${groupOf(cell)}/${sizeText(cell.size).replace(" ", "")}`;
}

/** Connections that the load generator keeps busy. Large bodies fill the machine with few of them. */
export function connectionsOf(cell: Cell): number {
  return cell.size >= 1_048_576 ? 16 : 64;
}

/**
 * The full programme. wrk and the native origin are measured everywhere; autocannon and nginx as an origin are second
 * opinions, and only where they can give one: autocannon does not open a connection for each request.
 */
export function allCells(): Cell[] {
  const group = (topology: TopologyName, mode: ConnectionMode, load: LoadName, origin: OriginName): Cell[] =>
    bodySizes.map((size) => ({ topology, mode, size, load, origin }));
  return [
    ...group("loopback", "keep-alive", "wrk", "native"),
    ...group("loopback", "close", "wrk", "native"),
    ...group("routed", "keep-alive", "wrk", "native"),
    ...group("routed", "close", "wrk", "native"),
    ...group("loopback", "keep-alive", "wrk", "nginx"),
    ...group("loopback", "keep-alive", "autocannon", "native"),
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
