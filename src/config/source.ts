import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { ErrorCode } from "../errors/index.js";
import { formatPath, type Issue, type Path, type Place, type Problem } from "./problem.js";
import { show } from "./show.js";

/** A configuration before it is checked: plain data, and where each part of it was written. */
export interface Source {
  /** File name as the user gave it, or what stands for it in messages. */
  readonly name: string;
  readonly value: unknown;
  /** What is wrong with the text itself. */
  readonly problems: readonly Problem[];
  /** False if `value` is not worth checking. */
  readonly readable: boolean;
  /** Where a value, or the key before it, is written; where nothing is written, the nearest thing around it. */
  place(path: Path, part: Issue["part"]): Place;
}

/** After that many, what the parser says are only consequences of what it did not understand before. */
const MAX_SYNTAX_PROBLEMS = 10;

/** A Source whose text is YAML, and therefore also one for JSON. Never throws. */
export function parseSource(name: string, text: string): Source {
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file: name, line: Math.max(1, line), column: Math.max(1, col) };
  };
  try {
    return readDocument(name, text, lines, placeAt);
  } catch (error) {
    // Nesting deeper than the stack, or aliases that multiply beyond the library's limit.
    const problem = syntaxProblem(placeAt(0), (error as Error).message);
    return { name, value: undefined, problems: [problem], readable: false, place: () => placeAt(0) };
  }
}

function readDocument(
  name: string,
  text: string,
  lines: LineCounter,
  placeAt: (offset: number) => Place,
): Source {
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems: Problem[] = [];
  const errors = [...document.errors, ...document.warnings];
  for (const { code, message, pos } of errors.slice(0, MAX_SYNTAX_PROBLEMS)) {
    const place = placeAt(pos[0]);
    problems.push(code === "DUPLICATE_KEY" ? duplicateKey(text, place, pos) : syntaxProblem(place, message));
  }
  const report = (offset: number, code: ErrorCode, message: string) =>
    problems.push({ ...placeAt(offset), code, message });
  if (document.contents !== null) walk(document, document.contents, new Set(), report);
  const readable = problems.every(({ code }) => code === "LS_CONFIG_DUPLICATE_KEY");
  return {
    name,
    value: readable ? document.toJS() : undefined,
    problems,
    readable,
    place: (path, part) => placeAt(offsetOf(document, path, part)),
  };
}

function syntaxProblem(place: Place, message: string): Problem {
  const why = message.includes("call stack") ? "nested too deeply" : message;
  return { ...place, code: "LS_CONFIG_SYNTAX", message: `not valid YAML: ${why}` };
}

function duplicateKey(text: string, place: Place, [from, to]: readonly [number, number]): Problem {
  // The library marks one character of the key; the line shows the rest.
  const key = /^["']?([^"':,{}[\]\s]*)/.exec(text.slice(from, Math.max(to, from + 80)))?.[1] ?? "";
  return {
    ...place,
    code: "LS_CONFIG_DUPLICATE_KEY",
    message: `the key ${show(key)} is already there above`,
  };
}

/** Finds what YAML allows but plain data cannot hold. */
function walk(
  document: Document,
  node: unknown,
  around: ReadonlySet<unknown>,
  report: (offset: number, code: ErrorCode, message: string) => void,
): void {
  if (isAlias(node)) {
    const target = node.resolve(document);
    const name = show(`*${node.source}`);
    if (target === undefined) report(start(node), "LS_CONFIG_SYNTAX", `${name} has no anchor before it`);
    if (around.has(target)) report(start(node), "LS_CONFIG_SYNTAX", `${name} contains itself`);
    return;
  }
  const inside = new Set(around).add(node);
  if (isSeq(node)) for (const item of node.items) walk(document, item, inside, report);
  if (!isMap(node)) return;
  for (const { key, value } of node.items) {
    if (!isScalar(key)) {
      report(start(key), "LS_CONFIG_TYPE", "a key is a list, mapping or alias, expected a word");
    } else if (key.value === "__proto__") {
      report(start(key), "LS_CONFIG_UNKNOWN_KEY", 'unknown key "__proto__", it is never a key');
    }
    walk(document, value, inside, report);
  }
}

/** Follows a path as far as the text goes. */
function offsetOf(document: Document, path: Path, part: Issue["part"]): number {
  let found: unknown = document.contents;
  for (const [index, step] of path.entries()) {
    const node = isAlias(found) ? found.resolve(document) : found;
    if (isMap(node)) {
      // Of a key that is there twice, the data has the last value.
      const pair = node.items.findLast(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair !== undefined) {
        if (part === "key" && index === path.length - 1) return start(pair.key);
        found = pair.value ?? pair.key;
      } else if (typeof step !== "number") {
        // A number here: a single value stands for a list of one, so the text lacks this step.
        break;
      }
    } else if (isSeq(node)) {
      const item = node.items[Number(step)];
      if (item === undefined) break;
      found = item;
    }
  }
  return start(found);
}

function start(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

/** Turns an issue into a problem with a place. */
export function locate(source: Source, issue: Issue): Problem {
  const where = formatPath(issue.path);
  const message = where === "" ? issue.message : `${where}: ${issue.message}`;
  return { ...source.place(issue.path, issue.part), code: issue.code, message };
}
