/** Compiles what the kernel tests run, on the host: the guest would take minutes, and forget it. */
import { buildHooksDriver } from "../support/hooks-driver.js";
import { packetProgram } from "../support/packet-programs.js";

for (const name of ["peer_client", "peer_server", "impair", "offloads", "hooks_count"] as const)
  packetProgram(name);
buildHooksDriver();
