/** The C++ programs of the packet tests, compiled when one of their sources changed. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCES = fileURLToPath(new URL("../kernel/native", import.meta.url));
const BUILT = fileURLToPath(new URL("../../build/test", import.meta.url));

export type PacketProgram =
  | "peer_client"
  | "peer_server"
  | "impair"
  | "offloads"
  | "hooks_count"
  | "churn_client"
  | "churn_server"
  | "bpf_objects"
  | "sequences";

const SHARED = ["peer.h", "peer.cc", "churn.h"];
const OPTIONS = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-pthread"];

const changed = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** The path of the program, ready to run. */
export function packetProgram(name: PacketProgram): string {
  const built = join(BUILT, name);
  const sources = readdirSync(SOURCES).filter((file) => SHARED.includes(file) || file === `${name}.cc`);
  if (sources.every((file) => changed(join(SOURCES, file)) < changed(built))) return built;
  mkdirSync(BUILT, { recursive: true });
  const unfinished = `${built}.${process.pid}`;
  execFileSync("g++", [...OPTIONS, "-o", unfinished, `${name}.cc`, "peer.cc"], {
    cwd: SOURCES,
    stdio: ["ignore", "inherit", "inherit"],
  });
  renameSync(unfinished, built);
  return built;
}
