import { execFile } from "node:child_process";

export interface CurlResult {
  exitCode: number;
  stdout: Buffer;
}

/** Runs curl, silent, with a bound on its time. */
export function curl(...args: string[]): Promise<CurlResult> {
  const options = { encoding: "buffer" as const, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve) => {
    const child = execFile("curl", ["-sS", "--max-time", "45", ...args], options, (_error, stdout) => {
      resolve({ exitCode: child.exitCode ?? -1, stdout });
    });
  });
}
