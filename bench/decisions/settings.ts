/** What policies need to have something to decide. A policy that is not named here is measured with its defaults. */

interface Setting {
  /** Which of several settings of a policy it is; part of its name in the table. */
  readonly variant?: string;
  readonly options: unknown;
}

const weights = { connections: 1, cpu: 2, queue: 1 };

const settings: Readonly<Record<string, readonly Setting[]>> = {
  "least-load": [{ options: undefined }, { variant: "three figures", options: { weights } }],
  "inverse-load": [{ options: undefined }, { variant: "three figures", options: { weights } }],
  "least-time": [{ options: undefined }, { variant: "two", options: { among: "two" } }],
  "header-hash": [{ options: { header: "x-user" } }],
  "cookie-sticky": [{ options: { secret: "of this bench alone" } }],
  "uri-hash": [{ options: undefined }, { variant: "bounded", options: { boundedLoad: 1.25 } }],
  maglev: [{ options: undefined }, { variant: "bounded", options: { boundedLoad: 1.25 } }],
  "ring-hash": [{ options: undefined }, { variant: "bounded", options: { boundedLoad: 1.25 } }],
  "weighted-split": [{ options: { shares: { v1: 95, v2: 5 } } }],
  "content-type": [{ options: undefined }, { variant: "learning", options: { learn: true } }],
  nearest: [{ options: { zones: { eu: { networks: ["10.0.0.0/9"] }, us: { networks: ["10.128.0.0/9"] } } } }],
};

/** The settings with which a policy is measured; at least one. */
export function settingsOf(policy: string): readonly Setting[] {
  return settings[policy] ?? [{ options: undefined }];
}

/** Whether every second request is for the same target: for a policy that looks for popular ones. */
export const hasHotTarget = (policy: string): boolean => policy === "hot-replication";

/** Labels of the backend with this number: something of everything that policies look for. */
export function labelsOf(number: number): Record<string, string> {
  return {
    version: number % 8 === 0 ? "v2" : "v1",
    priority: number % 4 === 3 ? "1" : "0",
    zone: number % 2 === 0 ? "eu" : "us",
    content: number % 3 === 0 ? "image, video" : "text, other",
  };
}
