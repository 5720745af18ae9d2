import type { LoadFigures } from "../pools/load-report.js";

/**
 * What HAProxy's agent-check protocol has to say of figures: the weight that is left, `up 75%`. It follows the scarcer of processor and
 * disk, and never falls to 0, which would take the backend out. Memory does not count: a cache that is full is not busy.
 */
export function agentCheckLine({ cpu = 0, io = 0 }: LoadFigures): string {
  const left = Math.round(100 * (1 - Math.max(cpu, io)));
  return `up ${Math.max(1, left)}%\n`;
}
