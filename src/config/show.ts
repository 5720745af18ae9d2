/** What breaks, hides or turns around a line, and JSON leaves as it is: controls above ASCII, separators, formats. */
const UNREADABLE = /[\x7f-\x9f\p{Zl}\p{Zp}\p{Cf}]/gu;

const escaped = (char: string): string =>
  [...Array(char.length).keys()]
    .map((index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, "0")}`)
    .join("");

/** A value in a message: short, on one line, and what it is rather than what it holds if it is a collection. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  const text = (JSON.stringify(value) ?? String(value)).replace(UNREADABLE, escaped);
  return text.length > 60 ? `${text.slice(0, 56)}..."` : text;
}

/** What others say, on one line. */
export function oneLine(text: string): string {
  return text
    .replace(/\s*[\r\n]\s*/g, " ")
    .replace(/\p{Cc}/gu, escaped)
    .replace(UNREADABLE, escaped);
}

/** A word that a user chose, such as a key: as it is where it reads as one, else quoted. */
export function showWord(word: string): string {
  return /^[\w.-]{1,60}$/.test(word) ? word : show(word);
}
