/** What an id of a backend stands for. */
export interface BackendName {
  readonly pool: string;
  readonly address: string;
}

/**
 * Numbers for the names in native counters. A name keeps its number for the life of the process, so counters go on
 * across reloads and never change their meaning.
 */
export class Names {
  private readonly routes: string[] = [];
  private readonly backends: BackendName[] = [];

  /** The id of a route's label. */
  routeId(label: string): number {
    const known = this.routes.indexOf(label);
    return known >= 0 ? known : this.routes.push(label) - 1;
  }

  /** The id of a backend of a pool. */
  backendId(pool: string, address: string): number {
    const known = this.backends.findIndex((each) => each.pool === pool && each.address === address);
    return known >= 0 ? known : this.backends.push({ pool, address }) - 1;
  }

  /** The label of a route id; empty for none (-1). */
  route(id: number): string {
    return this.routes[id] ?? "";
  }

  /** The backend of an id; empty names for none (-1). */
  backend(id: number): BackendName {
    return this.backends[id] ?? { pool: "", address: "" };
  }
}
