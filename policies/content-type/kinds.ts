import { Memo } from "../memo.js";

/** What is known by its kind: extensions, and media types of which the main type does not say it. */
const TABLE: Readonly<Record<string, string>> = {
  image: "png jpg jpeg jpe gif webp avif jxl svg ico bmp tif tiff heic",
  video:
    "mp4 m4v m4s webm mkv mov avi mpg mpeg ogv flv m3u8 mpd application/vnd.apple.mpegurl application/dash+xml",
  audio: "mp3 m4a aac ogg oga opus flac wav weba mid midi application/ogg",
  font: "woff woff2 ttf otf eot application/vnd.ms-fontobject application/font-woff",
  style: "css text/css",
  script: "js mjs cjs wasm text/javascript application/javascript application/x-javascript application/wasm",
  html: "html htm xhtml shtml text/html application/xhtml+xml",
  text: "txt md csv log",
  api: "json jsonl ndjson xml geojson application/json application/xml text/xml application/x-ndjson application/graphql application/grpc-web",
  document:
    "pdf doc docx xls xlsx ppt pptx odt ods odp epub rtf application/pdf application/msword application/epub+zip application/rtf",
  archive:
    "zip gz tgz bz2 xz zst 7z rar tar iso dmg deb rpm apk jar application/zip application/gzip application/x-gzip application/x-tar application/x-7z-compressed application/x-bzip2 application/x-xz application/zstd application/vnd.rar application/java-archive",
};

/** The kind of what nothing is known about. */
export const OTHER = 0;

/** Each kind is a bit of a whole number. */
export const MOST_KINDS = 31;

/** Longest extension that is looked at. */
const LONGEST_EXTENSION = 16;

/** Different Accept fields, and media types, that are remembered; browsers and sites have a handful. */
const REMEMBERED = 256;

/** A longer one says nothing: what is remembered has to have a bound. */
const LONGEST = 1024;

/** Names of the kinds that there are without any option. */
export const KNOWN_KINDS: readonly string[] = ["other", ...Object.keys(TABLE)];

/** Tells the kind of something by what is known of it. Kinds are numbers, -1 is "this does not say it". */
export class Kinds {
  /** Names, by number. */
  readonly names: readonly string[];
  private readonly byExtension = new Map<number, number>();
  private readonly byMediaType = new Map<string, number>();
  private readonly accepts = new Memo(REMEMBERED, (accept) => this.preferred(accept));
  private readonly mediaTypes = new Memo(REMEMBERED, (text) => this.kindOf(text));

  /** @param more extensions and media types (which have a `/`) by kind; they win over those that are known */
  constructor(more: Readonly<Record<string, readonly string[]>>) {
    this.names = [...new Set([...KNOWN_KINDS, ...Object.keys(more)])];
    for (const [kind, words] of Object.entries(TABLE)) this.add(kind, words.split(" "));
    for (const [kind, words] of Object.entries(more)) this.add(kind, words);
  }

  /** By the end of a path: `/a/b.JPG` is an image. */
  ofPath(path: string): number {
    const hash = extensionHash(path);
    return hash === 0 ? -1 : (this.byExtension.get(hash) ?? -1);
  }

  /** By the type that a client would like best; of those that it likes alike, by the first that has a kind. */
  ofAccept(accept: string): number {
    return accept.length > LONGEST ? -1 : this.accepts.answer(accept);
  }

  /** By a media type, with parameters or without. */
  ofMediaType(text: string): number {
    return text.length > LONGEST ? -1 : this.mediaTypes.answer(text);
  }

  private kindOf(text: string): number {
    const type = (text.split(";", 1)[0] as string).trim().toLowerCase();
    const exact = this.byMediaType.get(type);
    if (exact !== undefined) return exact;
    const [main = "", sub = ""] = type.split("/");
    if (["image", "video", "audio", "font", "text"].includes(main)) return this.names.indexOf(main);
    return /\+(json|xml)$/.test(sub) ? this.names.indexOf("api") : -1;
  }

  private preferred(accept: string): number {
    let best = -1;
    let bestQuality = 0;
    for (const range of accept.split(",")) {
      const kind = this.kindOf(range);
      const quality = Number(/;\s*q=([\d.]+)/i.exec(range)?.[1] ?? 1);
      if (kind < 0 || !(quality > bestQuality)) continue;
      best = kind;
      bestQuality = quality;
    }
    return best;
  }

  private add(kind: string, words: readonly string[]): void {
    const number = this.names.indexOf(kind);
    for (const word of words) {
      if (word.includes("/")) this.byMediaType.set(word.toLowerCase(), number);
      else this.byExtension.set(extensionHash(`.${word}`), number);
    }
  }
}

/** A hash of the extension of a path in lower case, so that no text has to be cut out of it; 0 if it has none. */
function extensionHash(path: string): number {
  let hash = 0;
  const last = path.length - 1;
  const end = Math.max(0, last - LONGEST_EXTENSION);
  for (let i = last; i >= end; i--) {
    const unit = path.charCodeAt(i);
    if (unit === 0x2e) return hash;
    if (unit === 0x2f) return 0;
    // In ASCII this bit tells small letters from capitals; digits have it anyway.
    hash = Math.imul(hash ^ (unit | 0x20), 0x01000193) ^ (hash >>> 15);
  }
  return 0;
}
