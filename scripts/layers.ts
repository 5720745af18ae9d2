/**
 * The table of layers: the only place where the directions of docs/architecture.md are written down for a machine.
 * TypeScript and C++ stand in it alike, because both are checked by the same rule: a file belongs to the zone with
 * the longest matching folder, and may refer to files of its own zone and of those that `uses` names.
 */
export interface Zone {
  /** A trailing slash and star make every subfolder a zone of its own. */
  readonly folder: string;
  /** Zones, or single files, that this one may refer to besides itself. */
  readonly uses: readonly string[];
  /** May it import npm packages and node: modules? */
  readonly packages: boolean;
  /** May it load the native addon? */
  readonly addon: boolean;
  /** May it include headers of Node, V8 or libuv? */
  readonly nodeHeaders: boolean;
}

/** Top to bottom: each may use everything below it. */
const stack = [
  "src/cli",
  "src/agent",
  "src/server",
  "src/discovery",
  "src/config",
  "src/routing",
  "src/pools",
  "src/policy",
  "src/dataplane",
  "src/observe",
  "src/errors",
];

/** Where a layer departs from "everything below". */
const exceptions: Readonly<Record<string, Partial<Zone>>> = {
  // The command line checks a configuration against the built-in policies, the server runs them.
  "src/cli": { uses: [...stack.slice(1), "policies"] },
  "src/server": { uses: [...stack.slice(3), "policies"] },
  // It runs beside backends: without a server, and without the addon.
  "src/agent": { uses: ["src/config", "src/pools", "src/policy", "src/observe", "src/errors"] },
  // The SDK is published: what it imports, every policy author gets.
  "src/policy": { uses: ["src/errors"] },
  "src/dataplane": { addon: true },
};

const plain = { packages: true, addon: false, nodeHeaders: false };

export const zones: readonly Zone[] = [
  ...stack.map((folder, index) => ({
    ...plain,
    folder,
    uses: stack.slice(index + 1),
    ...exceptions[folder],
  })),
  // The built-in policies live from the SDK alone, like those of a user.
  { ...plain, folder: "policies", uses: ["src/policy", "policies/cookie-sticky"], packages: false },
  // It signs cookies, as a user's would, with what Node has for it.
  { ...plain, folder: "policies/cookie-sticky", uses: ["src/policy", "policies"] },
  {
    ...plain,
    folder: "native/binding",
    uses: ["native/core", "native/engine", "native/engine/*"],
    nodeHeaders: true,
  },
  // Fuzz targets run inside node, because its HTTP parser lives there.
  {
    ...plain,
    folder: "native/fuzz",
    uses: ["native/core", "native/engine", "native/engine/*"],
    nodeHeaders: true,
  },
  { ...plain, folder: "native/engine", uses: ["native/core"] },
  // One zone for each engine: none may know of another.
  { ...plain, folder: "native/engine/*", uses: ["native/core", "native/engine", "native/bpf/include"] },
  {
    ...plain,
    folder: "native/core",
    uses: ["native/engine/engine.h", "native/engine/splicer.h", "native/engine/verdict_table.h"],
  },
  // The programs in the kernel. What they share with the addon is in their include folder.
  { ...plain, folder: "native/bpf", uses: ["native/bpf/include"] },
  { ...plain, folder: "native/bpf/include", uses: [] },
];

/** Headers that tie a C++ file to Node. */
export const nodeHeader =
  /^(napi|node|node_\w+|js_native_api\w*|v8|v8-[\w-]+|uv)\.h$|^(uv|libplatform|cppgc)\//;
