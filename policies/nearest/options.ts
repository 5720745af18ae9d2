import { type GeoDatabase, isNetwork, openGeoDatabase, z } from "../../src/policy/index.js";

const network = z
  .string()
  .refine(isNetwork, "expected a range of addresses like 10.0.0.0/8 or 2001:db8::/32");
const country = z.string().regex(/^[A-Z]{2}$/, "expected the two capitals of a country, like DE");
const continent = z.enum(["AF", "AN", "AS", "EU", "NA", "OC", "SA"]);
const latitude = z.number().min(-90).max(90);
const longitude = z.number().min(-180).max(180);

const zone = z.strictObject({
  networks: z.array(network).default([]),
  countries: z.array(country).default([]),
  continents: z.array(continent).default([]),
  at: z.tuple([latitude, longitude]).optional(),
  next: z.array(z.string()).default([]),
});

/** A file is opened when options are checked, so that `longsplice check` finds a wrong one. */
const database = z.string().transform((file, context): GeoDatabase => {
  try {
    if (!file.startsWith("/")) throw new Error(`${file} is not an absolute path`);
    return openGeoDatabase(file);
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
});

/** Options of `nearest`: README.md. */
export const options = z
  .strictObject({
    zones: z.record(z.string().min(1), zone).refine((zones) => Object.keys(zones).length > 0, "no zone"),
    database: database.optional(),
    label: z.string().default("zone"),
    spillAbove: z.number().positive().optional(),
  })
  .superRefine(({ zones, database }, context) => {
    const owners = new Map<string, string>();
    for (const [name, zone] of Object.entries(zones)) {
      const issue = (key: string, message: string) => {
        context.addIssue({ code: "custom", path: ["zones", name, key], message });
      };
      for (const key of ["networks", "countries", "continents"] as const) {
        for (const member of zone[key]) {
          const owner = owners.get(`${key} ${member}`);
          if (owner !== undefined) issue(key, `${member} is in ${owner} already`);
          owners.set(`${key} ${member}`, name);
        }
        if (key !== "networks" && zone[key].length > 0 && database === undefined) {
          issue(key, "needs a database, which says where addresses are");
        }
      }
      for (const next of zone.next) {
        if (!Object.hasOwn(zones, next)) issue("next", `there is no zone ${next}`);
      }
    }
  });
