import type { Health } from "../policy/load-layout.js";

/** How many checks in a row it takes to change one's mind. */
export interface Thresholds {
  /** Passed checks that bring an unhealthy backend back. */
  readonly rise: number;
  /** Failed checks that take a backend out. */
  readonly fall: number;
}

/** What is known of a backend. Immutable; the functions below make the next state. */
export interface HealthState {
  /** What the checks say. */
  readonly observed: "unknown" | "healthy" | "unhealthy";
  /** Checks in a row that contradict `observed`. */
  readonly against: number;
  /** True between the admin's `drain` and `enable`, whatever the checks say. */
  readonly draining: boolean;
  /** True while its conduct keeps it out, whatever the checks say. */
  readonly ejected: boolean;
  /** What it says of itself, whatever the checks say. */
  readonly advised: "up" | "drain" | "down";
}

/** A backend of which nothing is known yet. It gets requests: without checks nothing ever will be known. */
export const UNKNOWN: HealthState = {
  observed: "unknown",
  against: 0,
  draining: false,
  ejected: false,
  advised: "up",
};

/**
 * The state after one more check. The first passed check makes an unknown backend healthy at once: it gets requests
 * anyway, and `rise` is there to distrust a backend that had failed.
 */
export function observe(state: HealthState, passed: boolean, { rise, fall }: Thresholds): HealthState {
  const confirms = state.observed === (passed ? "healthy" : "unhealthy");
  if (confirms) return { ...state, against: 0 };
  if (state.observed === "unknown" && passed) return { ...state, observed: "healthy", against: 0 };
  const against = state.against + 1;
  if (against < (passed ? rise : fall)) return { ...state, against };
  return { ...state, observed: passed ? "healthy" : "unhealthy", against: 0 };
}

/** The state after the admin ordered the backend to drain, or to take part again. An ejection does not outlive the order. */
export function setDraining(state: HealthState, draining: boolean): HealthState {
  return { ...state, draining, ejected: false };
}

/** The state after an ejection, or after its end. */
export function setEjected(state: HealthState, ejected: boolean): HealthState {
  return { ...state, ejected };
}

/** The state after the backend said something else of itself. */
export function setAdvised(state: HealthState, advised: HealthState["advised"]): HealthState {
  return { ...state, advised };
}

/** Forgets what checks said, because no check watches it any more. All else stays. */
export function forget(state: HealthState): HealthState {
  return { ...state, observed: "unknown", against: 0 };
}

/** The part of a state that makes the backend ineligible, the strongest of several; undefined if it is eligible. */
export function obstacleOf(state: HealthState): Exclude<keyof HealthState, "against"> | undefined {
  if (state.draining) return "draining";
  if (state.advised === "drain") return "advised";
  if (state.observed === "unhealthy") return "observed";
  if (state.advised === "down") return "advised";
  return state.ejected ? "ejected" : undefined;
}

/** The one word for a state. */
export function healthOf(state: HealthState): Health {
  if (isDraining(state)) return "draining";
  return state.ejected || isDown(state) ? "unhealthy" : state.observed;
}

/** Whether it finishes what it has begun, and is to get nothing more. */
export function isDraining({ draining, advised }: HealthState): boolean {
  return draining || advised === "drain";
}

/** Whether nothing good is to be expected of it, not even for what it has begun. */
export function isDown({ observed, advised }: HealthState): boolean {
  return observed === "unhealthy" || advised === "down";
}

/** Whether the backend might be given new requests, were it not for its conduct. */
export function isUsable(state: HealthState): boolean {
  return !isDraining(state) && !isDown(state);
}

/** Whether the backend may be given new requests. */
export function isEligible(state: HealthState): boolean {
  return obstacleOf(state) === undefined;
}
