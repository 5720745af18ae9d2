/** BPF objects of a process, and whether they outlive it. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { packetProgram } from "./packet-programs.js";
import { ifThere } from "./process-info.js";

function infos(pid: number): string[] {
  const folder = `/proc/${pid}/fdinfo`;
  return readdirSync(folder).flatMap((fd) => ifThere(() => readFileSync(`${folder}/${fd}`, "latin1")));
}

/** Programs, maps and links that a process has descriptors of, as `bpf_objects` names them. */
export function bpfObjectsOf(pid: number): string[] {
  const named = (info: string): string[] => {
    const [, kind, id] = /^(link|map|prog)_id:\t(\d+)$/m.exec(info) ?? [];
    return kind === undefined ? [] : [`${kind}:${id}`];
  };
  return infos(pid).flatMap(named);
}

/** Those that exist, whoever holds them now. */
export const existing = (objects: readonly string[]): string[] =>
  execFileSync(packetProgram("bpf_objects"), ["exist", ...objects], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line !== "");

/** sizeof(struct ls_key) in native/bpf/include/abi.h: that of other hash maps is different. */
const KEY_OF_RECORD = /^key_size:\t36$/m;

/** How many addresses lead to a record: the entries of the only hash map of the proxy. */
export function publishedRecords(pid: number): number {
  const ids = infos(pid).flatMap((info) =>
    /^map_type:\t1$/m.test(info) && KEY_OF_RECORD.test(info) ? /^map_id:\t(\d+)$/m.exec(info)![1]! : [],
  );
  if (ids.length !== 1) throw new Error(`${ids.length} maps of addresses instead of one`);
  return Number(execFileSync(packetProgram("bpf_objects"), ["count", ids[0]!], { encoding: "utf8" }));
}
