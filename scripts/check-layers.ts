/**
 * Refuses references that point upwards in the architecture (the table is layers.ts), one line for each:
 * `FILE:LINE: what it refers to, which rule forbids that, what to do instead`. Exits 1 if there was any.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { nodeHeader, type Zone, zones } from "./layers.js";

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** Something that a file refers to, as it is spelled there. */
interface Reference {
  readonly line: number;
  readonly spelled: string;
  readonly kind: "import" | "include" | "addon";
}

/** Checks one file of the tree; `exists` answers for the other files (paths relative to the root of the checkout). */
export function checkFile(file: string, text: string, exists: (file: string) => boolean): Violation[] {
  const zone = zoneOf(file);
  if (zone === undefined) {
    const message = "lies in no layer; move it into one, or add its folder to scripts/layers.ts";
    return [{ file, line: 1, message }];
  }
  const references = /\.(cc|h)$/.test(file) ? includesOf(text) : importsOf(file, text);
  return references.flatMap((reference) => {
    const message = judge(file, zone, reference, exists);
    return message === undefined ? [] : [{ file, line: reference.line, message }];
  });
}

/** A folder of the table as the source of a regular expression. */
const spellOut = (folder: string) => folder.replace("*", "[^/]+");

/** The zone of a file, with the folder spelled out where the table has a star. */
function zoneOf(file: string): Zone | undefined {
  let best: Zone | undefined;
  for (const zone of zones) {
    const match = new RegExp(`^${spellOut(zone.folder)}/`).exec(file);
    if (match === null) continue;
    const folder = match[0].slice(0, -1);
    if (best === undefined || folder.length > best.folder.length) best = { ...zone, folder };
  }
  return best;
}

/** Why the reference is forbidden, or undefined. */
function judge(
  file: string,
  zone: Zone,
  { kind, spelled }: Reference,
  exists: (file: string) => boolean,
): string | undefined {
  if (kind === "addon") {
    if (zone.addon) return undefined;
    return `${spelled} can load the native addon: only src/dataplane does that; call its facade`;
  }
  if (kind === "include" && nodeHeader.test(spelled)) {
    if (zone.nodeHeaders) return undefined;
    return `includes <${spelled}>: only native/binding sees Node; pass plain C++ types or a callback instead`;
  }
  const target = kind === "include" ? resolveInclude(file, spelled, exists) : resolveImport(file, spelled);
  if (target === undefined) {
    if (zone.packages || kind === "include") return undefined;
    return `imports "${spelled}": ${zone.folder} imports only ${zone.uses.join(", ")}; use what that exports`;
  }
  const targetZone = zoneOf(target);
  if (targetZone?.folder === zone.folder || zone.uses.includes(target)) return undefined;
  if (zone.uses.some((use) => new RegExp(`^${spellOut(use)}$`).test(targetZone?.folder ?? "")))
    return undefined;
  const allowed = zone.uses.length === 0 ? "nothing of ours" : zone.uses.join(", ");
  return `refers to ${target}: ${zone.folder} may use ${allowed}; pass it in from above, or move it down`;
}

/** The file that a relative import means, or undefined for a package. */
function resolveImport(file: string, spelled: string): string | undefined {
  if (!spelled.startsWith(".")) return undefined;
  return normalize(join(dirname(file), spelled)).replace(/\.js$/, ".ts");
}

/** The file of ours that an include means (beside the including file, or from native/), undefined for others. */
function resolveInclude(
  file: string,
  spelled: string,
  exists: (file: string) => boolean,
): string | undefined {
  return [dirname(file), "native"].map((folder) => normalize(join(folder, spelled))).find(exists);
}

function includesOf(text: string): Reference[] {
  return text.split("\n").flatMap((line, index): Reference[] => {
    const spelled = /^\s*#\s*include\s*[<"]([^>"]+)[>"]/.exec(line)?.[1];
    return spelled === undefined ? [] : [{ line: index + 1, spelled, kind: "include" }];
  });
}

/** Everything that loads a module: imports of each form, and whatever could bring in a .node file. */
function importsOf(file: string, text: string): Reference[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Reference[] = [];
  const add = (node: ts.Node, kind: Reference["kind"], spelled: string) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    found.push({ line: line + 1, spelled, kind });
  };
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) add(node, "import", specifier.text);
    const loader = addonLoader(node);
    if (loader !== undefined) add(node, "addon", loader);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The module that this node imports, if it is a node that imports one by a constant name. */
function specifierOf(node: ts.Node): ts.StringLiteralLike | undefined {
  let specifier: ts.Node | undefined;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) specifier = node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) specifier = node.argument.literal;
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    specifier = node.arguments[0];
  }
  return specifier !== undefined && ts.isStringLiteralLike(specifier) ? specifier : undefined;
}

/**
 * The spelling of something that can load an addon: a call of `require`, `dlopen`, a `createRequire` that is used for
 * more than to resolve a path, a name ending in .node.
 */
function addonLoader(node: ts.Node): string | undefined {
  if (ts.isIdentifier(node)) {
    const { parent, text } = node;
    const called = ts.isCallExpression(parent) && parent.expression === node;
    if (text === "dlopen" || (text === "require" && called)) return text;
    if (text !== "createRequire") return undefined;
    const imported = ts.isImportSpecifier(parent) && parent.propertyName === undefined;
    const resolves =
      called && ts.isPropertyAccessExpression(parent.parent) && parent.parent.name.text === "resolve";
    return imported || resolves ? undefined : text;
  }
  if (!ts.isStringLiteralLike(node) && !ts.isTemplateTail(node)) return undefined;
  return node.text.endsWith(".node") ? `"${node.text}"` : undefined;
}

function main(): void {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  const files = ["src", "policies", "native"]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(ts|cc|h)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
  const violations = files.flatMap((file) =>
    checkFile(file, readFileSync(join(root, file), "utf8"), (other) => existsSync(join(root, other))),
  );
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
  console.log(`layers: ${files.length} files, ${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
