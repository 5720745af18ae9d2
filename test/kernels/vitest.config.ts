import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { NOT_HERE } from "./not-here.js";

const project = (name: string, include: string) => ({
  extends: true as const,
  test: { name, include: [include], fileParallelism: false, setupFiles: ["test/kernels/patience.ts"] },
});

// The name `.guest.ts` keeps these files out of the host's suite, which would run them on a kernel without netem.
const guest = project("guest", "test/kernels/*.guest.ts");
const kernel = project("kernel", "test/kernel/**/*.test.ts");

export default defineConfig({
  test: {
    root: fileURLToPath(new URL("../..", import.meta.url)),
    pool: "forks",
    retry: 0,
    testTimeout: 600_000,
    testNamePattern: new RegExp(`^(?!${NOT_HERE.source})`),
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    // The folder that the guest shares with the host.
    reporters: ["verbose", ["json", { outputFile: "/run/results/report.json" }]],
    projects: process.env.LONGSPLICE_SHORT ? [guest] : [guest, kernel],
  },
});
