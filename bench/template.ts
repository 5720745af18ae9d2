/** Fills the configuration templates of bench/peers/. */

/**
 * Replaces each `{{name}}`. Lines between `{{#name}}` and `{{/name}}` are repeated for each element of a list, with
 * `{{name}}` in them standing for the element.
 *
 * @throws Error if the template asks for something that is not there
 */
export function fillTemplate(
  template: string,
  values: Readonly<Record<string, string | number | readonly string[]>>,
): string {
  const lookUp = (name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the template wants {{${name}}}, which nobody gave`);
    return value;
  };
  return template
    .replace(/^\{\{#(\w+)\}\}\n(.*?)^\{\{\/\1\}\}\n/gms, (_, name: string, lines: string) => {
      const elements = lookUp(name);
      if (!Array.isArray(elements)) throw new Error(`{{#${name}}} wants a list`);
      return elements.map((element) => lines.replaceAll(`{{${name}}}`, String(element))).join("");
    })
    .replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(lookUp(name)));
}
