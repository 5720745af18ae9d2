import { builtinPolicies } from "../../policies/index.js";
import { type Config, formatAddress, type PoolConfig } from "../config/index.js";
import { fakeEnv } from "../policy/index.js";
import { loadPlugins } from "../policy/loader.js";
import { PolicyRegistry } from "../policy/registry.js";

/** The policies that a worker serves by: the built-in ones and those of these files. Rejects with LS_POLICY_*. */
export async function loadRegistry(plugins: readonly string[]): Promise<PolicyRegistry> {
  const builtin = builtinPolicies.map(({ name }) => name);
  return new PolicyRegistry(builtinPolicies, await loadPlugins(plugins, builtin));
}

/**
 * For a try of what sources say. Without sources there is nothing to try, and no plugin has to be loaded: Node forgets none.
 * Rejects with LS_POLICY_*.
 */
export async function registryForTrials({ pools, policies }: Config): Promise<PolicyRegistry> {
  const discovers = [...pools.values()].some(({ discover }) => discover.length > 0);
  return await loadRegistry(discovers ? policies : []);
}

/** Makes the policies of a pool with its backends, and ends them at once. Throws LS_POLICY_* as a worker would. */
export function tryPolicies(registry: PolicyRegistry, { name, policy, backends }: PoolConfig): void {
  const specs = policy.map(({ sharedBytes, ...spec }) => ({
    ...spec,
    shared: sharedBytes === 0 ? null : new SharedArrayBuffer(sharedBytes),
  }));
  const candidates = backends.map(({ address, weight, labels }, slot) => ({
    slot,
    address: formatAddress(address),
    weight,
    labels,
  }));
  registry.createChain(specs, fakeEnv({ pool: name, backends: candidates })).close();
}
