import { readFileSync } from "node:fs";
import { Reader, type Response } from "mmdb-lib";
import { LongspliceError } from "../errors/index.js";
import { canonicalIp } from "./networks.js";

/** Where an address is, as far as a database says so. */
export interface Place {
  /** Two letters of ISO 3166, upper case. */
  readonly country: string | undefined;
  /** `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`. */
  readonly continent: string | undefined;
  /** Degrees; both are there or none. */
  readonly latitude: number | undefined;
  readonly longitude: number | undefined;
}

/** A database that says where IP addresses are. */
export interface GeoDatabase {
  /** Undefined if the database does not know the address, or it is none. Takes about a microsecond: remember what it says. */
  find(address: string): Place | undefined;
}

/**
 * Opens a database of countries or cities in the format MMDB (GeoLite2, GeoIP2, DB-IP, IPinfo, ip-location-db). It is read into memory as a
 * whole; what becomes of the file later does not matter.
 * @throws LongspliceError LS_GEO_DATABASE when there is no such file, or it is not such a database
 */
export function openGeoDatabase(file: string): GeoDatabase {
  const reader = read(file);
  const takesIpv6 = reader.metadata.ipVersion === 6;
  return {
    find(address) {
      const ip = canonicalIp(address);
      // The reader would take the first bits of an IPv6 address for those of an IPv4 one.
      if (ip === undefined || (ip.includes(":") && !takesIpv6)) return undefined;
      const record: unknown = reader.get(ip);
      return record === null ? undefined : placeOf(record);
    },
  };
}

function read(file: string): Reader<Response> {
  const refuse = (why: string, cause?: unknown) =>
    new LongspliceError("LS_GEO_DATABASE", `${file}: ${why}`, { cause });
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw refuse(code === "ENOENT" ? "there is no such file" : message, cause);
  }
  // The marker before the metadata, which are the last thing in the file.
  if (!bytes.includes("\xab\xcd\xefMaxMind.com", 0, "latin1")) throw refuse("it is not in the format MMDB");
  try {
    const reader = new Reader(bytes);
    const { binaryFormatMajorVersion: version, searchTreeSize } = reader.metadata;
    if (version !== 2) throw new Error(`it has version ${version} of the format, expected 2`);
    if (!(searchTreeSize < bytes.length)) throw new Error("it is not whole");
    return reader;
  } catch (cause) {
    throw refuse((cause as Error).message, cause);
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** Databases name the same things differently: MaxMind and DB-IP nest them, IPinfo and ip-location-db do not. */
function placeOf(record: unknown): Place {
  const flat = fields(record);
  const country = fields(flat.country);
  const registered = fields(flat.registered_country);
  const location = fields(flat.location);
  const latitude = firstNumber(location.latitude, flat.latitude);
  const longitude = firstNumber(location.longitude, flat.longitude);
  const both = latitude !== undefined && longitude !== undefined;
  return {
    country: firstText(country.iso_code, registered.iso_code, flat.country_code)?.toUpperCase(),
    continent: firstText(fields(flat.continent).code, flat.continent_code)?.toUpperCase(),
    latitude: both ? latitude : undefined,
    longitude: both ? longitude : undefined,
  };
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function firstText(...values: readonly unknown[]): string | undefined {
  return values.find((value): value is string => typeof value === "string" && value !== "");
}

/** Some databases write numbers as text. */
function firstNumber(...values: readonly unknown[]): number | undefined {
  const value = values.find((each) => each !== undefined && each !== "");
  const number = Number(value);
  return value === undefined || Number.isNaN(number) ? undefined : number;
}
