import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { Namespace } from "../support/netns.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILT = "build/test/program_test";
const TESTS = "test/kernel/native";
const PROGRAMS = "native/bpf";
const LOADER = ["kernel", "verdicts"].map((name) => `native/engine/packet/${name}.cc`);
const SHARED = ["packet/kernel.h", "packet/verdict_hash.h", "verdict_table.h"].map(
  (name) => `native/engine/${name}`,
);

const SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-g1"];
const WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror"];

/** Groups of cases in program_test.cc. */
const GROUPS = [
  "translate",
  "options",
  "ignored",
  "stack",
  "copy",
  "ends",
  "resume",
  "icmp",
  "heads",
  "verdicts",
  "direct",
  "random",
];

const changed = (file: string): number => statSync(join(ROOT, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;

function filesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) =>
    join(folder, name),
  );
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
}

/** Compiles the tests when something that they are made of has changed. */
function build(): void {
  const tests = filesIn(TESTS).filter((file) => file.includes("/program_"));
  const sources = [...tests, ...filesIn(PROGRAMS), ...LOADER, ...SHARED];
  if (sources.every((file) => changed(file) < changed(BUILT))) return;
  mkdirSync(join(ROOT, "build/test"), { recursive: true });
  const made = (suffix: string) => `${BUILT}.${process.pid}${suffix}`;
  run("node", [`${PROGRAMS}/embed.cjs`, `${PROGRAMS}/splice.bpf.c`, made(".bpf.o"), made(".bpf.cc")]);
  const includes = [`-I${TESTS}/program_host`, `-I${PROGRAMS}/include`];
  const host = `${TESTS}/program_host.c`;
  // The other machine reads words wherever they begin.
  const unaligned = "-fno-sanitize=alignment";
  run("clang-14", [...SANITIZERS, unaligned, ...WARNINGS, ...includes, "-c", host, "-o", made(".o")]);
  const units = [...tests.filter((file) => file.endsWith(".cc")), ...LOADER, made(".bpf.cc"), made(".o")];
  const options = ["-std=c++20", "-Wconversion", "-Wno-sign-conversion", ...SANITIZERS, ...WARNINGS];
  run("clang++-14", [...options, ...units, "-lbpf", "-o", made("")]);
  renameSync(join(ROOT, made("")), join(ROOT, BUILT));
  for (const suffix of [".bpf.o", ".bpf.cc", ".o"]) rmSync(join(ROOT, made(suffix)));
}

/** Runs a group of cases in a namespace of its own; returns what it wrote. */
function cases(rig: "kernel" | "host", group: string): string {
  const space = new Namespace();
  space.ip("link", "add", "outer", "type", "veth", "peer", "name", "wire");
  for (const name of ["outer", "wire"]) space.ip("link", "set", name, "up");
  return space.run("sh", ["-c", '"$@" || :', "sh", join(ROOT, BUILT), rig, group, "outer"]);
}

beforeAll(build, 240_000);

describe("the programs in the kernel", () => {
  it.each(GROUPS)("pass the cases of the group %s", (group) => {
    expect(cases("kernel", group)).toMatch(/^\d+ cases, 0 failed\n$/);
  });
});

describe("the programs compiled for this machine, under sanitizers", () => {
  it.each(GROUPS)("pass the cases of the group %s", (group) => {
    expect(cases("host", group)).toMatch(/^\d+ cases, 0 failed\n$/);
  });
});
