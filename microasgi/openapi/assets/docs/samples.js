// Examples: those of the document, those made from schemas; and JSON as it was written, indented.

const SAMPLES = {
  "date-time": "2026-01-31T12:00:00Z",
  date: "2026-01-31",
  time: "12:00:00",
  duration: "PT1H",
  email: "name@example.com",
  uuid: "3fa85f64-5717-4562-b3fc-2c963f66afa6",
  uri: "https://example.com/",
  "uri-reference": "/",
  hostname: "example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  password: "secret",
  decimal: "9.99",
  byte: "AA==",
  binary: "",
};

/** A value that fits the schema, or undefined where the schema contains itself; `left` is how much may yet be made. */
function sample(schema, without, left = { parts: 400 }, path = []) {
  if (isObject(schema) && path.includes(schema.$ref)) return undefined;
  const inner = isObject(schema) && schema.$ref ? [...path, schema.$ref] : path;
  const flat = flatten(schema);
  const given = [items(flat.examples)[0], flat.example, flat.default, flat.const, items(flat.enum)[0]];
  const known = given.find((value) => value !== undefined && value !== null);
  if (known !== undefined) return known;
  if (--left.parts < 0 || path.length > 12) return undefined;
  const deeper = (one) => sample(one, without, left, inner.length === path.length ? [...path, ""] : inner);
  const variants = variantsOf(flat).filter((one) => resolve(one)?.type !== "null");
  if (variants.length && !flat.properties) return deeper(variants[0]);
  return sampleOfType(
    typesOf(flat).find((type) => type !== "null"),
    flat,
    deeper,
    without,
  );
}

function sampleOfType(type, flat, deeper, without) {
  if (type === "object") return sampleObject(flat, deeper, without);
  if (type === "array") {
    const made = Array.isArray(flat.prefixItems) ? flat.prefixItems.map(deeper) : [deeper(flat.items)];
    return made.filter((value) => value !== undefined);
  }
  if (type === "integer" || type === "number") return sampleNumber(flat, type);
  if (type === "boolean") return true;
  if (type === "string") return (SAMPLES[flat.format] ?? "string").padEnd(Math.min(flat.minLength ?? 0, 100), "x");
  return type === undefined ? {} : null;
}

function sampleObject(flat, deeper, without) {
  const wanted = entries(flat.properties).filter(([, one]) => !(flatten(one)[without] === true));
  const made = wanted.map(([name, one]) => [name, deeper(one)]).filter(([, value]) => value !== undefined);
  const other = flat.additionalProperties;
  if (isObject(other) && !made.length) made.push(["name", deeper(other) ?? null]);
  return Object.fromEntries(made);
}

function sampleNumber(flat, type) {
  const step = typeof flat.multipleOf === "number" ? flat.multipleOf : 1;
  const low = flat.minimum ?? (typeof flat.exclusiveMinimum === "number" ? flat.exclusiveMinimum + step : undefined);
  const high = flat.maximum ?? (typeof flat.exclusiveMaximum === "number" ? flat.exclusiveMaximum - step : undefined);
  const nearest = typeof low === "number" ? low : typeof high === "number" ? Math.min(high, 0) : 0;
  const value = Math.ceil(nearest / step) * step;
  return type === "integer" ? Math.ceil(value) : value;
}

/** The examples of a media type or a parameter by name; where it has none, one that is made from the schema. */
function examplesOf(media, without) {
  const named = entries(media.examples).map(([name, one]) => [name, resolve(one)?.value]);
  const found = named.filter(([, value]) => value !== undefined);
  if (found.length) return found;
  if (media.example !== undefined) return [["example", media.example]];
  return media.schema === undefined ? [] : [["example", sample(media.schema, without) ?? null]];
}

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Indent JSON without reading its numbers, which JavaScript would round. Throws for what is no JSON. */
function indent(source) {
  JSON.parse(source);
  const tokens = source.match(TOKENS) ?? [];
  const out = [];
  let depth = 0;
  const newline = () => out.push("\n" + "  ".repeat(Math.min(depth, 40)));
  tokens.forEach((token, index) => {
    const isFirst = tokens[index - 1] === "{" || tokens[index - 1] === "[";
    if (token === "}" || token === "]") {
      depth--;
      if (!isFirst) newline();
    } else if (isFirst) newline();
    out.push(token === ":" ? ": " : token);
    if (token === "{" || token === "[") depth++;
    if (token === ",") newline();
  });
  return out;
}

function jsonNodes(source) {
  const tokens = indent(source);
  if (source.length > MARKED) return [tokens.join("").slice(0, SHOWN)];
  return tokens.map((token, index) => {
    if (token[0] === '"') return el(tokens[index + 1] === ": " ? "span.key" : "span.string", {}, token);
    return /^[-\dtfn]/.test(token) ? el("span.value", {}, token) : token;
  });
}

function codeBlock(value, isJson) {
  const source = isJson ? JSON.stringify(value, null, 2) : pretty(value);
  const shown = isJson
    ? attempt(() => el("pre", { tabindex: 0 }, jsonNodes(source)))
    : el("pre", { tabindex: 0 }, source);
  return el("div.code", {}, shown, copyButton(shown));
}

const isJsonType = (type) => /^application\/(?:[\w.+-]+\+)?json\b/i.test(type);
