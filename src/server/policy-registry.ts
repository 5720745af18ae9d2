import { builtinPolicies } from "../../policies/index.js";
import { loadPlugins } from "../policy/loader.js";
import { PolicyRegistry } from "../policy/registry.js";

/** The policies that a worker serves by: the built-in ones and those of these files. Rejects with LS_POLICY_*. */
export async function loadRegistry(plugins: readonly string[]): Promise<PolicyRegistry> {
  const builtin = builtinPolicies.map(({ name }) => name);
  return new PolicyRegistry(builtinPolicies, await loadPlugins(plugins, builtin));
}
