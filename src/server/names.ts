/** What an id of a route stands for. */
export interface RouteName {
  readonly label: string;
  readonly pool: string;
}

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
  private readonly routes: RouteName[] = [];
  private readonly backends: BackendName[] = [];

  /** The id of a route that leads to a pool. */
  routeId(label: string, pool: string): number {
    const known = this.routes.findIndex((each) => each.label === label && each.pool === pool);
    return known >= 0 ? known : this.routes.push({ label, pool }) - 1;
  }

  /** The id of a backend of a pool. */
  backendId(pool: string, address: string): number {
    const known = this.backends.findIndex((each) => each.pool === pool && each.address === address);
    return known >= 0 ? known : this.backends.push({ pool, address }) - 1;
  }

  /** The route of an id; empty names for none (-1). */
  route(id: number): RouteName {
    return this.routes[id] ?? { label: "", pool: "" };
  }

  /** The backend of an id; empty names for none (-1). */
  backend(id: number): BackendName {
    return this.backends[id] ?? { pool: "", address: "" };
  }
}
