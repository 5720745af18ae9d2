import type { ByOptions, ChoiceBasis, PolicyModule, PolicyNeeds } from "./types.js";

const BASES: ReadonlySet<unknown> = new Set<ChoiceBasis>(["load", "client", "target", "request"]);

/** What a module asks for with certain options. */
export interface ModuleTraits {
  readonly choosesBy: ChoiceBasis;
  readonly needs: PolicyNeeds;
}

/**
 * Works out what a module asks for.
 * @param options checked ones
 * @throws TypeError when what its functions return is not what they should; and whatever they throw
 */
export function traitsOfModule<O>({ choosesBy, needs }: PolicyModule<O>, options: O): ModuleTraits {
  const traits = { choosesBy: resolve(choosesBy ?? "request", options), needs: resolve(needs, options) };
  const wrong = needsProblem(traits.needs) ?? basisProblem(traits.choosesBy);
  if (wrong !== undefined) throw new TypeError(wrong);
  return traits;
}

/** What is wrong with the needs of a module; undefined if nothing is. */
export function needsProblem(needs: unknown): string | undefined {
  const { headers, responseHeaders = [] } = (needs ?? {}) as Partial<PolicyNeeds>;
  for (const [name, list] of Object.entries({ headers, responseHeaders })) {
    if (Array.isArray(list) && list.every(isHeaderName)) continue;
    return `needs.${name} is ${JSON.stringify(list)}, expected an array of header names`;
  }
  return undefined;
}

/** What is wrong with what a module says that it chooses by; undefined if nothing is. */
export function basisProblem(basis: unknown): string | undefined {
  if (BASES.has(basis)) return undefined;
  return `choosesBy is ${JSON.stringify(basis)}, expected "load", "client", "target" or "request"`;
}

function resolve<O, T extends string | object>(trait: ByOptions<O, T>, options: O): T {
  return typeof trait === "function" ? trait(options) : trait;
}

/** A token of RFC 9110, 5.6.2. */
function isHeaderName(value: unknown): boolean {
  return typeof value === "string" && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value);
}
