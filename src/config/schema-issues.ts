import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { ErrorCode } from "../errors/index.js";
import { nearest, suggestion } from "./nearest.js";
import type { Issue, Path } from "./problem.js";
import { type ConfigFile, configSchema } from "./schema.js";
import { show } from "./show.js";

/** Checks plain data against the schema. `file` is undefined if and only if there are issues. */
export function checkSchema(value: unknown): { file: ConfigFile | undefined; issues: Issue[] } {
  const result = configSchema.safeParse(value, { reportInput: true });
  if (result.success) return { file: result.data, issues: [] };
  return { file: undefined, issues: withoutEchoes(result.error.issues.flatMap(translateIssue)) };
}

/** A misspelt key is one problem, not also a missing key. */
function withoutEchoes(issues: readonly Issue[]): Issue[] {
  const meant = issues
    .filter(({ code }) => code === "LS_CONFIG_UNKNOWN_KEY")
    .map(({ path }) => {
      const around = path.slice(0, -1);
      return missing([...around, nearest(String(path.at(-1)), keysAt(around)) ?? ""]);
    });
  const isEcho = (issue: Issue) =>
    meant.some((echo) => echo.message === issue.message && isDeepStrictEqual(echo.path, issue.path));
  return issues.filter((issue) => !isEcho(issue));
}

/** Says what the schema library found in the words and with the codes of this project. */
export function translateIssue(issue: z.core.$ZodIssue): Issue[] {
  const at = (code: ErrorCode, message: string, part: Issue["part"] = "value"): Issue[] => [
    { path: issue.path, part, code, message },
  ];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey(issue.path, key));
    case "custom": {
      const { code = "LS_CONFIG_VALUE", part } = (issue.params ?? {}) as Partial<Issue>;
      return at(code, issue.message, part);
    }
    case "invalid_type":
      if (issue.input === undefined) return [missing(issue.path)];
      return at("LS_CONFIG_TYPE", wrongType(issue.expected, issue.input));
    case "invalid_value": {
      const words = issue.values.map(String);
      if (issue.input === undefined) return [missing(issue.path)];
      if (typeof issue.input !== "string") {
        return at("LS_CONFIG_TYPE", `expected one of ${words.join(", ")}, got ${describe(issue.input)}`);
      }
      return at("LS_CONFIG_VALUE", `unknown word ${show(issue.input)}, ${suggestion(issue.input, words)}`);
    }
    case "too_small":
      if (issue.origin === "array")
        return at("LS_CONFIG_VALUE", "the list is empty, expected at least one entry");
      if (issue.origin === "string") return at("LS_CONFIG_VALUE", "the text is empty");
      return at("LS_CONFIG_VALUE", `${show(issue.input)} is too small, expected at least ${issue.minimum}`);
    case "too_big":
      return at("LS_CONFIG_VALUE", `${show(issue.input)} is too large, expected at most ${issue.maximum}`);
    default:
      return at("LS_CONFIG_VALUE", issue.message);
  }
}

function missing(path: Path): Issue {
  const message = `the key ${show(String(path.at(-1) ?? ""))} is missing`;
  return { path: path.slice(0, -1), part: "value", code: "LS_CONFIG_MISSING_KEY", message };
}

function unknownKey(path: Path, key: string): Issue {
  const hint = suggestion(key, keysAt(path));
  const message = `unknown key ${show(key)}, ${hint}`;
  return { path: [...path, key], part: "key", code: "LS_CONFIG_UNKNOWN_KEY", message };
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "text",
  int: "a whole number",
  number: "a whole number",
  object: "a mapping",
  record: "a mapping",
  array: "a list",
};

function wrongType(expected: string, input: unknown): string {
  const wanted = `expected ${EXPECTED[expected] ?? expected}, got ${describe(input)}`;
  const scalar = typeof input === "number" || typeof input === "boolean";
  return expected === "string" && scalar ? `${wanted}; to mean text, write "${input}"` : wanted;
}

function describe(input: unknown): string {
  if (typeof input === "string") return `the text ${show(input)}`;
  if (typeof input === "number") return `the number ${input}`;
  return show(input);
}

/** The keys that the schema knows at a path; empty where keys are free. */
export function keysAt(path: Path): string[] {
  let schema: z.core.$ZodType | undefined = configSchema;
  for (const step of path) {
    if (schema === undefined) return [];
    schema = child(unwrap(schema), step);
  }
  const found = schema && unwrap(schema);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

/** Takes defaults, options and preprocessing off a schema. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPipe) {
    return unwrap(schema.in instanceof z.ZodTransform ? schema.out : schema.in);
  }
  const wrapped =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable;
  return wrapped ? unwrap(schema.unwrap()) : schema;
}

function child(schema: z.core.$ZodType, step: PropertyKey): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) return schema.shape[String(step)];
  if (schema instanceof z.ZodArray) return schema.element;
  return schema instanceof z.ZodRecord ? schema.valueType : undefined;
}
