import { LongspliceError } from "../errors/index.js";
import { type ChainLink, type ChainOptions, PolicyChain } from "./chain.js";
import { isThenable, messageOf } from "./thrown.js";
import { type ModuleTraits, traitsOfModule } from "./traits.js";
import type { ChoiceBasis, Policy, PolicyEnv, PolicyModule, SchemaIssue, SchemaResult } from "./types.js";

/** Of one policy of one pool: 4 GiB. */
const MOST_SHARED_BYTES = 2 ** 32;

/** One entry of a pool's `policy:` list. */
export interface PolicySpec {
  readonly name: string;
  readonly options: unknown;
  /** See `PolicyEnv.shared`. */
  readonly shared?: SharedArrayBuffer | null;
}

/** See `PolicyRegistry.traitsOf`. */
export interface PolicyTraits {
  readonly choosesBy: Exclude<ChoiceBasis, "client">;
  /** They learn from responses, so user space has to see the heads of those. */
  readonly readsResponses: boolean;
  /** They add header fields to responses. */
  readonly changesResponses: boolean;
}

/** The policies that a configuration may name: the built-in ones and the user's. Immutable. */
export class PolicyRegistry {
  private readonly modules = new Map<string, PolicyModule<unknown>>();

  /** Throws LS_POLICY_NAME if two modules have one name. */
  constructor(...groups: readonly (readonly PolicyModule<unknown>[])[]) {
    for (const module of groups.flat()) {
      if (this.modules.has(module.name)) {
        throw new LongspliceError("LS_POLICY_NAME", `two policies are named "${module.name}"`);
      }
      this.modules.set(module.name, module);
    }
  }

  /** All names, in the order of registration. */
  get names(): string[] {
    return [...this.modules.keys()];
  }

  /** The module of this name, if there is one. */
  get(name: string): PolicyModule<unknown> | undefined {
    return this.modules.get(name);
  }

  /**
   * The headers that the policies of a pool look at: lower case, each once, sorted. Only these cross from native
   * code. Throws LS_POLICY_UNKNOWN, LS_POLICY_OPTIONS.
   */
  headersFor(specs: readonly PolicySpec[]): string[] {
    const names = specs.flatMap((spec) => this.traits(spec).needs.headers);
    return [...new Set(names.map((name) => name.toLowerCase()))].sort();
  }

  /**
   * The response headers that the policies of a pool want to be told of, as `headersFor`; null if none wants to know of responses
   * at all. Throws LS_POLICY_UNKNOWN, LS_POLICY_OPTIONS.
   */
  responseHeadersFor(specs: readonly PolicySpec[]): string[] | null {
    const lists = specs.flatMap((spec) => {
      const { responseHeaders } = this.traits(spec).needs;
      return responseHeaders === undefined ? [] : [responseHeaders];
    });
    if (lists.length === 0) return null;
    return [...new Set(lists.flat().map((name) => name.toLowerCase()))].sort();
  }

  /**
   * What the planner has to know of a pool's policies: the most that one of them asks for. Throws LS_POLICY_UNKNOWN,
   * LS_POLICY_OPTIONS.
   */
  traitsOf(specs: readonly PolicySpec[]): PolicyTraits {
    const traits = specs.map((spec) => this.traits(spec));
    const bases = traits.map(({ choosesBy }) => choosesBy);
    return {
      choosesBy: basisOf(bases),
      readsResponses: traits.some(({ needs }) => needs.responseHeaders !== undefined),
      changesResponses: specs.some(({ name }) => this.require(name).addsResponseHeaders === true),
    };
  }

  /**
   * Bytes of `PolicyEnv.shared`; 0 if it asks for none or the options are wrong. Throws LS_POLICY_UNKNOWN, and LS_POLICY_CREATE if
   * what the module says is no number of bytes.
   */
  sharedBytes(name: string, options: unknown): number {
    const module = this.require(name);
    const result = validateOptions(module, options);
    if (result.issues !== undefined || module.sharedBytes === undefined) return 0;
    const refuse = (why: string, cause?: unknown) =>
      new LongspliceError("LS_POLICY_CREATE", `policy "${name}": sharedBytes ${why}`, { cause });
    let bytes: number;
    try {
      bytes = module.sharedBytes(result.value);
    } catch (cause) {
      throw refuse(`threw: ${messageOf(cause)}`, cause);
    }
    if (Number.isInteger(bytes) && bytes >= 0 && bytes <= MOST_SHARED_BYTES) return bytes;
    throw refuse(`is ${bytes}, expected a whole number from 0 to ${MOST_SHARED_BYTES}`);
  }

  /**
   * Makes the policies of one pool for one worker. Throws LS_POLICY_UNKNOWN, LS_POLICY_OPTIONS if a schema
   * refuses the options, and LS_POLICY_CREATE if a policy cannot be made; those already made are closed
   * again.
   */
  createChain(specs: readonly PolicySpec[], env: PolicyEnv, options?: ChainOptions): PolicyChain {
    const links: ChainLink[] = [];
    try {
      for (const spec of specs) links.push(this.createLink(spec, env));
    } catch (error) {
      new PolicyChain(links, options).close();
      throw error;
    }
    return new PolicyChain(links, options);
  }

  private createLink({ name, options, shared = null }: PolicySpec, env: PolicyEnv): ChainLink {
    const module = this.require(name);
    const result = validateOptions(module, options);
    if (result.issues !== undefined) {
      const detail = result.issues.map(formatIssue).join("; ");
      throw new LongspliceError("LS_POLICY_OPTIONS", `policy "${name}" of pool "${env.pool}": ${detail}`);
    }
    try {
      const policy = module.create(result.value, { ...env, shared });
      if (isThenable(policy)) {
        // Nobody waits for it: what comes is not wanted, and a rejection would end the thread.
        Promise.resolve(policy)
          .then((late) => (late as unknown as Partial<Policy> | undefined)?.close?.())
          .catch(() => {});
        throw new TypeError("create() is asynchronous, it must not be");
      }
      if (typeof policy?.select !== "function") throw new TypeError("create() must return { select, ... }");
      return { name, policy };
    } catch (cause) {
      throw refusalOf(cause, `policy "${name}" of pool "${env.pool}"`);
    }
  }

  private traits({ name, options }: PolicySpec): ModuleTraits {
    const module = this.require(name);
    const result = validateOptions(module, options);
    if (result.issues === undefined) return traitsOfModule(module, result.value);
    const detail = result.issues.map(formatIssue).join("; ");
    throw new LongspliceError("LS_POLICY_OPTIONS", `policy "${name}": ${detail}`);
  }

  private require(name: string): PolicyModule<unknown> {
    const module = this.modules.get(name);
    if (module !== undefined) return module;
    const detail = `no policy is named "${name}"; there are ${this.names.join(", ")}`;
    throw new LongspliceError("LS_POLICY_UNKNOWN", detail);
  }
}

/** A chain's basis. The choice for one client says nothing of another one that asks for the same target. */
function basisOf(bases: readonly ChoiceBasis[]): PolicyTraits["choosesBy"] {
  if (bases.includes("request")) return "request";
  if (!bases.includes("target")) return "load";
  return bases.includes("client") ? "request" : "target";
}

/**
 * Checks a policy's options against its schema, and what follows from them. Problems come back as issues, never as exceptions: a
 * schema that throws or wants to be awaited counts as one issue, and so do traits that cannot be worked out.
 */
export function validateOptions<O>(module: PolicyModule<O>, options: unknown): SchemaResult<O> {
  try {
    const result = module.options["~standard"].validate(options);
    if (!(result instanceof Promise))
      return result.issues === undefined ? withTraits(module, result) : result;
    result.catch(() => {});
    return { issues: [{ message: "the schema of the options is asynchronous, it must not be" }] };
  } catch (error) {
    return { issues: [{ message: `the schema of the options failed: ${messageOf(error)}` }] };
  }
}

function withTraits<O>(module: PolicyModule<O>, result: { readonly value: O }): SchemaResult<O> {
  try {
    traitsOfModule(module, result.value);
    return result;
  } catch (error) {
    return { issues: [{ message: `these options make no policy: ${messageOf(error)}` }] };
  }
}

/** The place of an issue within the options: keys and indexes, outermost first. */
export function issuePath(issue: SchemaIssue): PropertyKey[] {
  return (issue.path ?? []).map((step) => (typeof step === "object" ? step.key : step));
}

function formatIssue(issue: SchemaIssue): string {
  const path = issuePath(issue).map(String).join(".");
  return path === "" ? issue.message : `options.${path}: ${issue.message}`;
}

/** Of what `create` threw, as an error of ours. */
function refusalOf(cause: unknown, who: string): LongspliceError {
  try {
    // The SDK says by itself what is wrong with a file that it was to read.
    if (cause instanceof LongspliceError) return cause;
  } catch {
    // A proxy may refuse even this look at it.
  }
  return new LongspliceError("LS_POLICY_CREATE", `${who}: ${messageOf(cause)}`, { cause });
}
