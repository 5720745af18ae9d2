/** A route as the configuration has it: what it matches, where it leads, what it changes. */
export interface RouteSpec {
  readonly match: {
    /** Exact, or `*.suffix`. */
    readonly host?: string | undefined;
    /** Ending in `/`: a prefix. Otherwise exact, or a prefix up to a `/`. */
    readonly path?: string | undefined;
    /** RE2 syntax, found anywhere in the path unless anchored. */
    readonly pathRegex?: string | undefined;
    readonly method?: readonly string[] | undefined;
    /** Header name to glob pattern. */
    readonly header?: Readonly<Record<string, string>> | undefined;
  };
  readonly pool: string;
  /** Names the route in metrics and logs. */
  readonly label: string;
  readonly setRequestHeaders: readonly (readonly [name: string, template: string])[];
  readonly removeRequestHeaders: readonly string[];
  readonly setResponseHeaders: readonly (readonly [name: string, template: string])[];
  readonly removeResponseHeaders: readonly string[];
}
