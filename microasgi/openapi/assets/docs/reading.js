// What the document says, which may be anything: references, links, and descriptions in a little Markdown.

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const items = (value) => (Array.isArray(value) ? value : []);
const objects = (value) => items(value).map(resolve).filter(isObject);
const entries = (value) => (isObject(value) ? Object.entries(value) : []);
const text = (value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
const pretty = (value) => (typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? ""));

/** The value at a JSON pointer (RFC 6901) of this document; references to elsewhere are not followed. */
function lookUp(reference) {
  if (!reference.startsWith("#/")) return undefined;
  let value = state.spec;
  for (const part of reference.slice(2).split("/")) {
    const key = decode(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Follow `$ref`; what stands beside it goes first (OpenAPI 3.1, Schema Object). */
function resolve(value) {
  const seen = new Set();
  while (isObject(value) && typeof value.$ref === "string" && !seen.has(value.$ref)) {
    const { $ref, ...beside } = value;
    seen.add($ref);
    const target = lookUp($ref);
    value = isObject(target)
      ? { ...target, ...beside }
      : (target ?? { description: `(${$ref} is not here)`, ...beside });
  }
  return value;
}

const lastName = (reference) => decode(reference.split("/").pop()).replaceAll("~1", "/").replaceAll("~0", "~");

function webUrl(target, base) {
  try {
    const url = new URL(target, base);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}

function link(target, ...children) {
  const url = typeof target === "string" ? webUrl(target, documentUrl) : null;
  return url ? el("a", { href: url.href, rel: "noopener noreferrer nofollow" }, children) : el("span", {}, children);
}

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^[\]]+)\]\(([^()\s]+)\)|(https?:\/\/[^\s<>()`*]+)/g;

function inline(source) {
  const nodes = [];
  let end = 0;
  for (const match of source.matchAll(INLINE)) {
    const [whole, code, strong, emphasis, label, target, url] = match;
    nodes.push(source.slice(end, match.index));
    if (code) nodes.push(el("code", {}, code));
    else if (strong) nodes.push(el("strong", {}, strong));
    else if (emphasis) nodes.push(el("em", {}, emphasis));
    else if (label) nodes.push(link(target, label));
    else nodes.push(link(url.replace(/[.,;:!?]$/, ""), whole));
    end = match.index + whole.length;
  }
  return [...nodes, source.slice(end)];
}

const LINES = [
  ["li", /^\s*(?:[-*+]|\d{1,9}[.)])\s+(.*)/],
  ["h", /^#{1,6}\s+(.*)/],
];

function markdown(source) {
  if (typeof source !== "string" || !source.trim()) return null;
  const box = el("div.prose");
  for (const [index, part] of source.split(/^```.*$/m).entries()) {
    if (index % 2) box.append(el("pre", {}, part.replace(/^\n|\n$/g, "")));
    else for (const block of part.split(/\n\s*\n/)) box.append(...blockNodes(block));
  }
  return box;
}

function blockNodes(block) {
  const nodes = [];
  for (const line of block.split("\n").filter((one) => one.trim())) {
    const [kind, found] = LINES.map(([name, pattern]) => [name, pattern.exec(line)]).find(([, match]) => match) ?? [
      "p",
    ];
    const content = inline(found ? found[1] : line.trim());
    const last = nodes.at(-1);
    const wanted = kind === "li" ? (/^\s*\d/.test(line) ? "ol" : "ul") : kind;
    if (kind === "li" && last?.localName !== wanted) nodes.push(el(wanted, {}, el("li", {}, content)));
    else if (kind === "li") last.append(el("li", {}, content));
    else if (kind === "h") nodes.push(el("p.heading", {}, content));
    else if (last) (last.lastElementChild?.localName === "li" ? last.lastElementChild : last).append("\n", ...content);
    else nodes.push(el("p", {}, content));
  }
  return nodes;
}
