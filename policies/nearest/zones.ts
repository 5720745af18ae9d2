import { type GeoDatabase, NetworkTable } from "../../src/policy/index.js";

/** Latitude and longitude in degrees. */
export type Coordinates = readonly [latitude: number, longitude: number];

/** What the options say of a zone. */
export interface ZoneOptions {
  readonly networks: readonly string[];
  readonly countries: readonly string[];
  readonly continents: readonly string[];
  readonly at?: Coordinates | undefined;
  readonly next: readonly string[];
}

/** No zone is known. */
export const NOWHERE = -1;

/** Zones, by number: which one an address is in, and which others are near. */
export class Zones {
  readonly names: readonly string[];
  private readonly zones: readonly ZoneOptions[];
  private readonly networks: NetworkTable<number>;

  constructor(
    byName: Readonly<Record<string, ZoneOptions>>,
    private readonly database: GeoDatabase | undefined,
  ) {
    this.names = Object.keys(byName);
    this.zones = Object.values(byName);
    this.networks = new NetworkTable(
      this.zones.flatMap((zone, number) => zone.networks.map((network) => [network, number] as const)),
    );
  }

  /** The zone of an address; `NOWHERE` if nothing says it. Networks win over the database, countries over continents. */
  of(address: string): number {
    return this.networks.find(address) ?? this.byDatabase(address);
  }

  /**
   * All zones, the nearest to this one first: itself, those that it names, and the others by the great circle. Zones without coordinates
   * come last, as they are written.
   */
  order(zone: number): Int32Array {
    const { at, next } = this.zones[zone] as ZoneOptions;
    const named = [zone, ...next.map((name) => this.names.indexOf(name))];
    const others = this.names.map((_, number) => number).filter((number) => !named.includes(number));
    // Sorting is stable, so that equals stay as they are written.
    others.sort((a, b) => closeness(this.zones[b]?.at, at) - closeness(this.zones[a]?.at, at));
    return Int32Array.from(new Set([...named, ...others]));
  }

  private byDatabase(address: string): number {
    const place = this.database?.find(address);
    if (place === undefined) return NOWHERE;
    const { country = "", continent = "", latitude, longitude } = place;
    const byCountry = this.zones.findIndex(({ countries }) => countries.includes(country));
    if (byCountry >= 0) return byCountry;
    const byContinent = this.zones.findIndex(({ continents }) => continents.includes(continent));
    if (byContinent >= 0 || latitude === undefined || longitude === undefined) return byContinent;
    return this.closest([latitude, longitude]);
  }

  private closest(place: Coordinates): number {
    let best = NOWHERE;
    for (const [number, { at }] of this.zones.entries()) {
      if (at === undefined) continue;
      if (best < 0 || closeness(at, place) > closeness(this.zones[best]?.at, place)) best = number;
    }
    return best;
  }
}

/**
 * How near two places are: the cosine of the angle between them, which falls from 1 to -1 as the great circle grows. Less than any if one is not known.
 */
function closeness(a: Coordinates | undefined, b: Coordinates | undefined): number {
  if (a === undefined || b === undefined) return -2;
  const [latitudeA, longitudeA, latitudeB, longitudeB] = [...a, ...b].map(
    (degrees) => (degrees * Math.PI) / 180,
  ) as [number, number, number, number];
  return (
    Math.sin(latitudeA) * Math.sin(latitudeB) +
    Math.cos(latitudeA) * Math.cos(latitudeB) * Math.cos(longitudeA - longitudeB)
  );
}
