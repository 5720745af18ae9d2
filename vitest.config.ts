import { defineConfig } from "vitest/config";

/**
 * One project per folder of test/. Groups run one after the other: everything that measures time or load comes
 * last and alone, because two cores shared with other test files would make it lie.
 */
const project = (name: string, groupOrder: number, options: { alone?: boolean; timeout?: number } = {}) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    sequence: { groupOrder },
    fileParallelism: !options.alone,
    testTimeout: options.timeout ?? 30_000,
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    setupFiles: [
      "test/support/seed.ts",
      ...(process.env.LONGSPLICE_NODE === undefined ? [] : ["scripts/sanitize-setup.ts"]),
    ],
    retry: 0,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    projects: [
      project("unit", 0),
      project("native", 0),
      project("conformance", 1),
      project("hostile", 2, { alone: true, timeout: 60_000 }),
      project("kernel", 3, { alone: true }),
      project("integration", 4, { alone: true, timeout: 120_000 }),
      project("leak", 5, { alone: true, timeout: 120_000 }),
    ],
  },
});
