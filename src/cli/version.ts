import { release } from "node:os";
import { version } from "../server/version.js";

/** What decides how longsplice behaves here, in one line: itself, Node, the HTTP parser inside Node, the kernel. */
export function versionLine(): string {
  const { node, llhttp } = process.versions;
  return `longsplice ${version} (node ${node}, llhttp ${llhttp}, kernel ${release()})`;
}
