import { LongspliceError } from "../errors/index.js";
import { loadAddon, type PipeObstacle } from "./native.js";

/**
 * Makes sure that bodies can go through pipes here.
 * @throws LongspliceError LS_ENGINE_UNAVAILABLE with the reason
 */
export function requirePipeEngine(): void {
  const obstacle = loadAddon().probePipeEngine();
  if (obstacle === null) return;
  const { reason, remedy } = explainObstacle(obstacle);
  throw new LongspliceError("LS_ENGINE_UNAVAILABLE", `pipe: ${reason}`, { remedy });
}

/** Why there are no pipes, and what the user can do about it. */
export function explainObstacle(obstacle: PipeObstacle): {
  readonly reason: string;
  readonly remedy: string;
} {
  switch (obstacle) {
    case "pool":
    case "descriptors":
      return {
        reason: "no descriptors are left for a pipe",
        remedy: "Raise the limit of open files (ulimit -n, or LimitNOFILE= under systemd).",
      };
    case "pipe_pages":
      return {
        reason: "the kernel gives this user no pipe of 512 KiB",
        remedy: "Raise the sysctls fs.pipe-user-pages-soft and fs.pipe-max-size, or use engine: copy.",
      };
    case "splice":
      return {
        reason: "the kernel refuses splice(2) between sockets and pipes",
        remedy: "Allow it where system calls are filtered (seccomp), or use engine: copy.",
      };
  }
}
