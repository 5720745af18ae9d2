import { type Config, formatAddress, type PoolConfig } from "../config/index.js";
import type { PolicyRegistry } from "../policy/registry.js";
import { tryPolicy } from "../policy/trial.js";
import { loadRegistry } from "./policy-registry.js";

/**
 * For a try of what sources say. Without sources there is nothing to try, and no plugin has to be loaded: Node forgets none.
 * Rejects with LS_POLICY_*.
 */
export async function registryForTrials({ pools, policies }: Config): Promise<PolicyRegistry> {
  const discovers = [...pools.values()].some(({ discover }) => discover.length > 0);
  return await loadRegistry(discovers ? policies : []);
}

/** Throws what the policies of a pool have against its backends: LS_POLICY_* as a worker would. */
export function requirePolicies(registry: PolicyRegistry, { name, policy, backends }: PoolConfig): void {
  const candidates = backends.map((each) => ({ ...each, address: formatAddress(each.address) }));
  for (const each of policy) {
    const [refusal] = tryPolicy(registry, { ...each, pool: name, backends: candidates });
    if (refusal !== undefined) throw refusal.error;
  }
}
