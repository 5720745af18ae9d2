/** A reporter of vitest: lists what failed and then passed, which is a fault of the test or of the product, though a rare one. */
import type { Reporter, TestCase } from "vitest/node";

export default class SecondAttempts implements Reporter {
  readonly #lines: string[] = [];

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky !== true) return;
    const why = test.result().errors?.[0]?.message.split("\n")[0] ?? "no error was kept";
    this.#lines.push(`  ${test.project.name}  ${test.module.relativeModuleId} > ${test.fullName}: ${why}`);
  }

  onTestRunEnd(): void {
    if (this.#lines.length === 0) return;
    console.log(`\npassed at the second attempt only (${this.#lines.length}):\n${this.#lines.join("\n")}\n`);
  }
}
