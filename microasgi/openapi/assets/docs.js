// The page of an OpenAPI 3.1 document: what it says, and a form to call each operation.
//
// The law of this file: whatever comes from the document or from an answer becomes text or an attribute that is ours,
// never markup; a link only if it is http or https. References are followed when somebody opens them, so that a
// document that contains itself ends.

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
const SHOWN = 400_000; // characters of an answer that are put on the page
const MARKED = 150_000; // characters of JSON that are coloured
const given = document.body.dataset;
const documentUrl = new URL(given.document, location.href);
const rootUrl = new URL(given.root, location.href);
const store = `api-docs ${documentUrl.href}`;
const state = { spec: {}, server: null, credentials: {}, remember: false, operations: new Map(), watchers: new Set() };
const byId = (id) => document.getElementById(id);

// ---- elements ------------------------------------------------------------------------------------------------------

function el(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false && child !== ""));
  return element;
}

let lastId = 0;
const newId = () => `_${++lastId}`;

/** A <details> whose inside is made when it is opened for the first time. */
function folded(name, summary, inside, attributes) {
  const details = el(`details.${name}`, attributes, el("summary", {}, summary));
  const fill = () => {
    if (details.open && details.childElementCount === 1) details.append(attempt(inside));
  };
  details.addEventListener("toggle", fill);
  return Object.assign(details, { fill });
}

/** What a function makes of the document; what is wrong with the document stays in its place. */
function attempt(make) {
  try {
    return make();
  } catch (error) {
    return el("p.bad", {}, `The document is not as it should be here: ${error.message}`);
  }
}

function copyButton(read) {
  const button = el("button.quiet", { type: "button", click: copy }, "Copy");
  async function copy() {
    await navigator.clipboard?.writeText(read()).then(() => say("Copied"), () => say("The browser did not let us copy"));
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  return button;
}

function say(message) {
  byId("said").textContent = message;
}

// ---- reading what may be anything ----------------------------------------------------------------------------------

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const items = (value) => (Array.isArray(value) ? value : []);
const objects = (value) => items(value).map(resolve).filter(isObject);
const entries = (value) => (isObject(value) ? Object.entries(value) : []);
const text = (value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "");

/** The value at a JSON pointer (RFC 6901) of this document; references to elsewhere are not followed. */
function lookUp(reference) {
  if (!reference.startsWith("#/")) return undefined;
  let value = state.spec;
  for (const part of reference.slice(2).split("/")) {
    const key = attemptDecode(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

function attemptDecode(part) {
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
    value = isObject(target) ? { ...target, ...beside } : target ?? { description: `(${$ref} is not here)`, ...beside };
  }
  return value;
}

const lastName = (reference) => attemptDecode(reference.split("/").pop()).replaceAll("~1", "/").replaceAll("~0", "~");

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

// ---- descriptions: a little Markdown -------------------------------------------------------------------------------

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
  const box = el("div.prose");
  if (typeof source !== "string") return box;
  for (const [index, part] of source.split(/^```.*$/m).entries()) {
    if (index % 2) box.append(el("pre", {}, part.replace(/^\n|\n$/g, "")));
    else for (const block of part.split(/\n\s*\n/)) box.append(...blockNodes(block));
  }
  return box;
}

function blockNodes(block) {
  const nodes = [];
  for (const line of block.split("\n").filter((one) => one.trim())) {
    const [kind, found] = LINES.map(([name, pattern]) => [name, pattern.exec(line)]).find(([, match]) => match) ?? ["p"];
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

// ---- schemas -------------------------------------------------------------------------------------------------------

const variantsOf = (schema) => [...items(schema.oneOf), ...items(schema.anyOf)];

/** The schema with its references followed and its `allOf` merged. */
function flatten(schema, depth = 0) {
  const own = resolve(schema);
  if (!isObject(own)) return {};
  if (!Array.isArray(own.allOf) || depth > 8) return own;
  const parts = own.allOf.map((part) => flatten(part, depth + 1));
  const properties = Object.assign({}, ...parts.map((part) => part.properties), own.properties);
  const required = [...parts.flatMap((part) => items(part.required)), ...items(own.required)];
  return { ...Object.assign({}, ...parts), ...own, properties, required };
}

/** The schema of a value that is there: `T | null` is T. */
function withoutNull(schema) {
  const flat = flatten(schema);
  const real = variantsOf(flat).filter((one) => resolve(one)?.type !== "null");
  return real.length === 1 ? { ...flatten(real[0]), ...flat, anyOf: undefined, oneOf: undefined } : flat;
}

const typesOf = (schema) => [schema.type ?? guessedType(schema)].flat().filter((type) => typeof type === "string");

function guessedType(schema) {
  if (schema.properties || schema.additionalProperties) return "object";
  return schema.items || schema.prefixItems ? "array" : [];
}

function typeName(schema, depth = 0) {
  if (schema === false) return "nothing";
  if (!isObject(schema) || depth > 4) return "any";
  if (typeof schema.$ref === "string") return lastName(schema.$ref);
  if ("const" in schema) return JSON.stringify(schema.const);
  const name = (one) => typeName(one, depth + 1);
  if (variantsOf(schema).length) return [...new Set(variantsOf(schema).map(name))].join(" | ");
  if (items(schema.allOf).length) return [...new Set(schema.allOf.map(name))].join(" & ");
  const names = typesOf(schema).map((type) => {
    if (type === "array") return Array.isArray(schema.prefixItems) ? "tuple" : `array of ${name(schema.items)}`;
    if (type === "object" && isObject(schema.additionalProperties)) return `map of ${name(schema.additionalProperties)}`;
    return type === "string" && schema.format ? text(schema.format) : type;
  });
  return names.join(" | ") || (schema.enum ? "enum" : "any");
}

const FACTS = [
  ["minimum", "≥ "], ["exclusiveMinimum", "> "], ["maximum", "≤ "], ["exclusiveMaximum", "< "],
  ["multipleOf", "multiple of "], ["minLength", "min. length "], ["maxLength", "max. length "],
  ["minItems", "min. items "], ["maxItems", "max. items "], ["pattern", "pattern "], ["format", "format "],
];

/** What else is known of the values: limits, choices, default. */
function facts(schema) {
  const flat = withoutNull(schema);
  const inner = { ...flatten(flat.items), ...flat };
  const found = FACTS.filter(([key]) => flat[key] !== undefined).map(([key, label]) => label + text(flat[key]));
  const shown = found.filter((fact) => !(fact.startsWith("format ") && typesOf(flat).includes("string")));
  if (flat.uniqueItems === true) shown.push("unique items");
  if (Array.isArray(inner.enum)) shown.push(`one of ${inner.enum.slice(0, 30).map((one) => JSON.stringify(one)).join(", ")}`);
  if (flat.default !== undefined) shown.push(`default ${JSON.stringify(flat.default)}`);
  if (flat.readOnly === true) shown.push("read only");
  if (flat.writeOnly === true) shown.push("write only");
  return shown.map((fact) => el("span.fact", {}, fact));
}

/** The schemas inside of a schema, with what to call them. */
function inside(schema) {
  const flat = withoutNull(schema);
  const found = entries(flat.properties).map(([name, one]) => ({ name, one, required: items(flat.required).includes(name) }));
  items(flat.prefixItems).forEach((one, index) => found.push({ name: `[${index}]`, one }));
  if (isObject(flat.items) && isNested(flat.items)) found.push({ name: "each item", one: flat.items, plain: true });
  const other = flat.additionalProperties;
  if (isObject(other)) found.push({ name: "any other name", one: other, plain: true });
  variantsOf(flat).forEach((one) => found.push({ name: "either", one, plain: true }));
  return found;
}

const isNested = (schema, depth = 0) => {
  const flat = withoutNull(schema);
  const deeper = isObject(flat.items) && depth < 5 && isNested(flat.items, depth + 1);
  return Boolean(entries(flat.properties).length || flat.prefixItems || variantsOf(flat).length || deeper ||
    isObject(flat.additionalProperties));
};

function schemaView(schema) {
  const parts = inside(schema);
  if (!parts.length) return el("p.schema", {}, typeLine(schema), description(schema));
  return el("ul.schema", {}, parts.map((part) => el("li", {}, attempt(() => member(part)))));
}

function member({ name, one, required, plain }) {
  const flat = flatten(one);
  const label = [el(plain ? "span.dim" : `code.name${flat.deprecated === true ? ".gone" : ""}`, {}, name),
    required && el("span.required", { title: "required" }, "required"), typeLine(one)];
  const head = isNested(one) ? folded("member", label, () => schemaView(one)) : el("div.member", {}, label);
  return [head, description(one)];
}

const typeLine = (schema) => [el("span.type", {}, typeName(schema)), ...facts(schema)];

function description(schema) {
  const said = flatten(schema).description;
  return said ? markdown(said) : null;
}

// ---- examples ------------------------------------------------------------------------------------------------------

const SAMPLES = {
  "date-time": "2026-01-31T12:00:00Z", date: "2026-01-31", time: "12:00:00", duration: "PT1H", email: "name@example.com",
  uuid: "3fa85f64-5717-4562-b3fc-2c963f66afa6", uri: "https://example.com/", "uri-reference": "/", hostname: "example.com",
  ipv4: "192.0.2.1", ipv6: "2001:db8::1", password: "secret", decimal: "9.99", byte: "AA==", binary: "",
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
  return sampleOfType(typesOf(flat).find((type) => type !== "null"), flat, deeper, without);
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
  const start = typeof low === "number" ? low : typeof high === "number" ? Math.min(high, 0) : 0;
  const value = Math.ceil(start / step) * step;
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

// ---- JSON as it was written, indented ------------------------------------------------------------------------------

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Indent JSON without reading its numbers, which JavaScript would round. Throws for what is no JSON. */
function indent(source) {
  JSON.parse(source);
  const tokens = source.match(TOKENS) ?? [];
  const out = [];
  let depth = 0;
  const newline = () => out.push("\n" + "  ".repeat(Math.min(depth, 40)));
  tokens.forEach((token, index) => {
    const opened = tokens[index - 1] === "{" || tokens[index - 1] === "[";
    if (token === "}" || token === "]") {
      depth--;
      if (!opened) newline();
    } else if (opened) newline();
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
  const shown = isJson ? attempt(() => el("pre", { tabindex: 0 }, jsonNodes(source))) : el("pre", { tabindex: 0 }, source);
  return el("div.code", {}, shown, copyButton(() => shown.textContent));
}

const isJsonType = (type) => /^application\/(?:[\w.+-]+\+)?json\b/i.test(type);

// ---- fields of the form --------------------------------------------------------------------------------------------

const isFile = (flat) => flat.format === "binary" || flat.contentMediaType === "application/octet-stream";
const shownType = (flat) => typesOf(flat).find((type) => type !== "null");

/** An input for a value: its element, and `read`, which gives the value, undefined where none is wanted, or throws. */
function field(schema, label, required, example) {
  const flat = withoutNull(schema);
  const type = shownType(flat);
  const shared = { "aria-label": label, "aria-required": required && "true", "data-field": true };
  const choices = type === "boolean" ? [true, false] : flat.const === undefined ? items(flat.enum) : [flat.const];
  if (choices.length) return choiceField(choices, shared, example);
  if (isFile(flat) || (type === "array" && isFile(flatten(flat.items)))) return fileField(type === "array", shared);
  if (type === "array") return linesField(shared, example);
  if (type === "object") return objectField(shared, example);
  const kind = flat.format === "password" ? "password" : "text";
  const mode = { integer: "numeric", number: "decimal" }[type];
  const hint = flat.default === undefined ? SAMPLES[flat.format] ?? "" : text(flat.default);
  const element = el("input", { ...shared, type: kind, inputmode: mode, placeholder: hint, autocomplete: "off" });
  element.value = text(example);
  return { element, read: () => element.value || undefined };
}

function choiceField(choices, shared, example) {
  const options = choices.map((one) => el("option", { value: text(one), selected: one === example }, text(one)));
  const element = el("select", shared, el("option", { value: "" }, "–"), options);
  return { element, read: () => element.value || undefined };
}

function fileField(multiple, shared) {
  const element = el("input", { ...shared, type: "file", multiple });
  return { element, read: () => (element.files.length ? [...element.files] : undefined) };
}

function linesField(shared, example) {
  const element = el("textarea", { ...shared, rows: 2, placeholder: "one a line", spellcheck: "false" });
  element.value = items(example).map(text).join("\n");
  const read = () => element.value.split("\n").map((line) => line.replace(/\r$/, "")).filter(Boolean);
  return { element, read: () => (read().length ? read() : undefined) };
}

function objectField(shared, example) {
  const element = el("textarea", { ...shared, rows: 3, placeholder: "{ } as JSON", spellcheck: "false" });
  element.value = example === undefined ? "" : pretty(example);
  return { element, read: () => (element.value.trim() ? parse(element.value) : undefined) };
}

function parse(source) {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
}

/** Read a field into the request; what is wrong with it is noted beside it. */
function readInto(request, one, required, use) {
  let problem = null;
  try {
    const value = one.read();
    if (value !== undefined) use(value);
    else if (required) problem = "This is needed.";
  } catch (error) {
    problem = error.message;
  }
  if (problem) request.problems.push({ element: one.element, problem });
}

// ---- what the form says, as a request ------------------------------------------------------------------------------

function compose(operation, form) {
  const request = { method: operation.method.toUpperCase(), headers: new Map(), query: [], cookies: [], body: null };
  request.problems = [];
  const inPath = new Map();
  for (const { parameter, input } of form.parameters) {
    readInto(request, input, parameter.required, (value) => place(request, inPath, parameter, value));
  }
  const accept = form.accept?.value;
  if (accept) request.headers.set("Accept", accept);
  form.body?.fill(request);
  applyCredentials(request, operation);
  request.url = address(operation, inPath, request.query);
  return request;
}

function place(request, inPath, parameter, value) {
  const plain = parameter.content ? text(value) : value;
  if (parameter.in === "query") request.query.push(...queryPairs(parameter, plain));
  else if (parameter.in === "header") request.headers.set(parameter.name, simple(plain, parameter.explode, String));
  else if (parameter.in === "cookie") request.cookies.push([parameter.name, simple(plain, false, encodeURIComponent)]);
  else if (parameter.in === "path") {
    if (/^\.\.?$/.test(plain)) throw new Error("A URL cannot hold . or .. here: they mean another path.");
    inPath.set(parameter.name, simple(plain, parameter.explode, encodeURIComponent));
  }
}

function queryPairs({ name, style = "form", explode = style === "form" }, value) {
  if (Array.isArray(value)) {
    const separator = { spaceDelimited: " ", pipeDelimited: "|" }[style] ?? ",";
    return explode ? value.map((one) => [name, one]) : [[name, value.join(separator)]];
  }
  if (!isObject(value)) return [[name, text(value)]];
  if (style === "deepObject") return entries(value).map(([key, one]) => [`${name}[${key}]`, text(one)]);
  if (explode) return entries(value).map(([key, one]) => [key, text(one)]);
  return [[name, entries(value).flat().map(text).join(",")]];
}

function simple(value, explode, quote) {
  if (Array.isArray(value)) return value.map((one) => quote(text(one))).join(",");
  if (!isObject(value)) return quote(text(value));
  const pairs = entries(value).map((pair) => pair.map((one) => quote(text(one))));
  return pairs.map((pair) => pair.join(explode ? "=" : ",")).join(",");
}

function serversOf(operation) {
  const lists = [operation.op.servers, operation.item.servers, state.spec.servers];
  return objects(lists.find((list) => items(list).length));
}

function serverUrl(server) {
  if (!server) return rootUrl;
  const variables = isObject(server.variables) ? server.variables : {};
  const filled = text(server.url).replace(/\{([^{}]*)\}/g, (whole, name) => text(variables[name]?.default ?? whole));
  return webUrl(filled, documentUrl) ?? rootUrl;
}

function address(operation, inPath, query) {
  const own = serversOf(operation);
  const base = serverUrl(own.includes(state.server) ? state.server : own[0]);
  const parts = operation.path.split(/(\{[^{}]*\})/).map((part, index) => {
    return index % 2 ? inPath.get(part.slice(1, -1)) ?? part : encodeURI(part).replace(/[?#]/g, encodeURIComponent);
  });
  const url = new URL(base.origin + base.pathname.replace(/\/+$/, "") + parts.join("").replace(/^\/?/, "/"));
  url.search = query.map((pair) => pair.map((one) => encodeURIComponent(text(one))).join("=")).join("&");
  return url;
}

const shell = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The request as a command for a POSIX shell. */
function curl({ method, url, headers, cookies, body }) {
  const shown = url.href.replaceAll("%7B", "{").replaceAll("%7D", "}");
  const words = [method === "HEAD" ? "curl --head" : method === "GET" && !body ? "curl" : `curl -X ${shell(method)}`];
  words[0] += `${/[[\]{}]/.test(shown) ? " --globoff" : ""} ${shell(shown)}`;
  for (const [name, value] of headers) words.push(`-H ${shell(value ? `${name}: ${value}` : `${name};`)}`);
  if (cookies.length) words.push(`-b ${shell(cookies.map((pair) => pair.join("=")).join("; "))}`);
  if (body instanceof FormData) words.push(...[...body].map(curlPart));
  else if (body instanceof File) words.push(`--data-binary ${shell(`@${body.name}`)}`);
  else if (body !== null) words.push(`--data-raw ${shell(String(body))}`);
  return words.join(" \\\n  ");
}

function curlPart([name, value]) {
  if (typeof value === "string") return `--form-string ${shell(`${name}=${value}`)}`;
  const type = value.type ? `;type=${value.type}` : "";
  return `-F ${shell(`${name}=@"${value.name.replace(/["\\]/g, "\\$&")}"${type}`)}`;
}

// ---- bodies --------------------------------------------------------------------------------------------------------

/** The editor of a request body: its element, and `fill`, which puts the body into a request. */
function bodyForm(body) {
  const types = entries(body.content).map(([type, media]) => [type, resolve(media) ?? {}]);
  if (!types.length) return null;
  const slot = el("div");
  const select = el("select", { "aria-label": "Media type of the body", change: show }, types.map(([type]) => el("option", {}, type)));
  let editor;
  function show() {
    const [type, media] = types[select.selectedIndex];
    editor = attempt(() => editorFor(type, media, body.required === true));
    slot.replaceChildren(editor.element ?? editor);
  }
  show();
  const title = el("div.row", {}, el("h3", {}, "Body"), body.required === true && el("span.required", {}, "required"),
    types.length > 1 ? select : el("code.dim", {}, types[0][0]));
  const schema = () => schemaView(types[select.selectedIndex][1].schema ?? true);
  const element = el("section", {}, title, description(body), slot, types.length === 1 && folded("more", "Schema", schema));
  return { element, fill: (request) => editor.fill?.(request) };
}

function editorFor(type, media, required) {
  if (/^(?:multipart\/form-data|application\/x-www-form-urlencoded)\b/i.test(type)) return formEditor(type, media);
  if (isJsonType(type)) return textEditor(type, media, required, true);
  if (/^text\/|xml|yaml|json|csv|javascript/i.test(type)) return textEditor(type, media, required, false);
  const one = fileField(false, { "aria-label": "Body", "data-field": true });
  const fill = (request) => readInto(request, one, required, ([file]) => setBody(request, type, file));
  return { element: one.element, fill };
}

function setBody(request, type, body) {
  if (type.includes("*")) type = body.type || "application/octet-stream";
  request.headers.set("Content-Type", type);
  request.body = body;
}

function textEditor(type, media, required, isJson) {
  const examples = examplesOf(media, "readOnly");
  const element = el("textarea.editor", { "aria-label": "Body", "data-field": true, spellcheck: "false" });
  const fault = el("p.bad", { role: "status" });
  const fillIn = (value) => {
    element.value = isJson ? JSON.stringify(value, null, 2) : pretty(value);
    element.rows = Math.min(Math.max(element.value.split("\n").length, 4), 24);
  };
  if (examples.length) fillIn(examples[0][1]);
  const check = () => {
    const source = element.value;
    if (isJson && source.trim()) parse(source);
    return source.trim() ? source : undefined;
  };
  element.addEventListener("input", () => {
    try {
      check();
      fault.textContent = "";
      element.removeAttribute("aria-invalid");
    } catch (error) {
      fault.textContent = error.message;
      element.setAttribute("aria-invalid", "true");
    }
  });
  const choose = (event) => (fillIn(examples[event.target.selectedIndex][1]), element.dispatchEvent(new Event("input", { bubbles: true })));
  const select = el("select", { "aria-label": "Example", change: choose }, examples.map(([name]) => el("option", {}, name)));
  const fill = (request) => readInto(request, { element, read: check }, required, (source) => setBody(request, type, source));
  return { element: el("div", {}, examples.length > 1 && select, element, fault), fill };
}

function formEditor(type, media) {
  const flat = flatten(media.schema);
  const isMultipart = /^multipart/i.test(type);
  const rows = entries(flat.properties).map(([name, schema]) => {
    const required = items(flat.required).includes(name);
    return { name, schema, required, input: field(schema, name, required, flatten(schema).example) };
  });
  const fill = (request) => {
    const body = isMultipart ? new FormData() : new URLSearchParams();
    for (const { name, required, input } of rows) {
      readInto(request, input, required, (value) => [value].flat().forEach((one) => body.append(name, one instanceof File ? one : text(one))));
    }
    if (isMultipart) request.body = body; // the browser writes the boundary into content-type
    else setBody(request, type, body.toString());
  };
  const element = fieldTable("Fields of the form", rows.map((row) => ({ ...row, where: null, about: description(row.schema) })));
  return { element, fill };
}

/** A table of inputs: name, what is known of it, input. */
function fieldTable(caption, rows) {
  const head = el("thead.unseen", {}, el("tr", {}, ["Name", "Description", "Value"].map((title) => el("th", { scope: "col" }, title))));
  const body = rows.map(({ name, where, required, schema, about, input, gone, note }) => {
    const label = [el(`code.name${gone ? ".gone" : ""}`, {}, name), required && el("span.required", {}, "required"), where && el("span.dim", {}, where)];
    const known = [el("p.schema", {}, typeLine(schema)), about, note && el("p.dim", {}, note)];
    return el("tr", {}, el("th", { scope: "row" }, label), el("td", {}, known), el("td", {}, input.element));
  });
  return el("table.fields", {}, el("caption.unseen", {}, caption), head, el("tbody", {}, body));
}

// ---- sending, and the answer ---------------------------------------------------------------------------------------

const size = (bytes) => (bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

async function send(request, out, signal) {
  const began = performance.now();
  const remove = setCookies(request);
  try {
    const { method, headers, body } = request;
    const response = await fetch(request.url, { method, headers: [...headers], body, signal, cache: "no-store" });
    remove();
    const tone = response.ok ? "good" : response.status < 400 ? "" : "bad";
    const measure = el("span.dim");
    const head = el("p.status", {}, el(`strong.${tone || "dim"}`, {}, `${response.status} ${response.statusText}`.trim()), measure);
    const moved = response.redirected && el("p.dim", {}, `Redirected to ${response.url}`);
    const slot = el("div");
    out.replaceChildren(head, ...[moved].filter(Boolean), headersOf(response), slot);
    say(`Answer: ${response.status} ${response.statusText}`);
    const tick = (bytes) => (measure.textContent = `${Math.round(performance.now() - began)} ms · ${size(bytes)}`);
    tick(0);
    await showBody(response, slot, tick);
  } finally {
    remove();
  }
}

/** Cookies go out as the browser's own, for this URL and this call only. Returns what takes them away again. */
function setCookies({ cookies, url }) {
  const path = url.pathname.includes(";") ? "/" : url.pathname;
  const write = (age) => cookies.forEach(([name, value]) => {
    if (url.origin === location.origin) document.cookie = `${name}=${value}; path=${path}; max-age=${age}; samesite=strict`;
  });
  write(60);
  return () => write(0);
}

function headersOf(response) {
  const rows = [...response.headers].map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  return folded("more", `Headers (${rows.length})`, () => el("dl.headers", {}, rows));
}

async function showBody(response, slot, tick) {
  const type = response.headers.get("content-type") ?? "";
  const isText = /^text\/|json|xml|javascript|yaml|x-www-form-urlencoded|event-stream/i.test(type) && !/svg/i.test(type);
  const pre = el("pre", { tabindex: 0, "aria-label": "Body of the answer" });
  const chunks = [];
  const decoder = new TextDecoder();
  let bytes = 0;
  let shown = 0;
  if (isText) slot.append(el("div.code", {}, pre, copyButton(() => pre.textContent)));
  for (const reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    tick((bytes += value.length));
    const piece = isText && shown < SHOWN ? decoder.decode(value, { stream: true }) : "";
    if (piece) pre.append(piece.slice(0, SHOWN - shown));
    shown += piece.length;
  }
  tick(bytes);
  const blob = new Blob(chunks, { type });
  if (!bytes) return slot.replaceChildren(el("p.dim", {}, "No body."));
  if (shown > SHOWN) slot.append(el("p.dim", {}, "Only the beginning is shown."));
  if (isJsonType(type) && shown <= SHOWN) showJson(pre, await blob.text());
  if (/^image\//i.test(type)) slot.append(await picture(blob));
  if (!isText || shown > SHOWN) slot.append(download(blob, response));
}

function showJson(pre, source) {
  try {
    pre.replaceChildren(...jsonNodes(source));
  } catch {
    pre.after(el("p.bad", {}, "The answer says that it is JSON, and is not."));
  }
}

/** The picture as a data: URL, which the policy of the page allows. */
function picture(blob) {
  return new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(el("img", { src: reader.result, alt: "The picture that was answered" }));
    reader.onerror = () => done(el("p.bad", {}, "The picture could not be read."));
    reader.readAsDataURL(blob);
  });
}

function download(blob, response) {
  const named = /filename="?([^";]+)/i.exec(response.headers.get("content-disposition") ?? "")?.[1];
  const href = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  return el("p", {}, el("a", { href, download: named ?? "answer" }, `Save ${named ?? "the answer"} (${size(blob.size)})`));
}

function refusal(error, request) {
  if (error.name === "AbortError") return "Stopped.";
  if (request.url.origin !== location.origin) {
    return `This page may call its own origin only, and ${request.url.origin} is another. Use the curl command.`;
  }
  return `There was no answer: ${error.message}`;
}

// ---- who is calling ------------------------------------------------------------------------------------------------

const schemes = () => entries(state.spec.components?.securitySchemes).map(([name, one]) => [name, resolve(one) ?? {}]);
const isGiven = (name) => Object.values(state.credentials[name] ?? {}).some(Boolean);

/** The alternatives of an operation, each a list of scheme names with their scopes. */
function requirements({ op }) {
  const given = op.security === undefined ? state.spec.security : op.security;
  return objects(given).map((one) => entries(one));
}

function applyCredentials(request, operation) {
  const chosen = requirements(operation).find((names) => names.length && names.every(([name]) => isGiven(name)));
  for (const [name] of chosen ?? []) {
    const scheme = schemes().find(([other]) => other === name)?.[1] ?? {};
    applyOne(request, scheme, state.credentials[name]);
  }
}

function applyOne(request, scheme, { value = "", username = "", password = "" }) {
  if (scheme.type === "apiKey") {
    const key = text(scheme.name);
    if (scheme.in === "query") request.query.push([key, value]);
    else if (scheme.in === "cookie") request.cookies.push([key, encodeURIComponent(value)]);
    else request.headers.set(key, value);
  } else if (isBasic(scheme)) {
    const bytes = new TextEncoder().encode(`${username}:${password}`);
    request.headers.set("Authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`);
  } else request.headers.set("Authorization", `Bearer ${value}`);
}

const isBasic = (scheme) => scheme.type === "http" && /^basic$/i.test(scheme.scheme);

function credentialsChanged() {
  const count = schemes().filter(([name]) => isGiven(name)).length;
  byId("authorize").textContent = count ? `Authorized (${count})` : "Authorize";
  byId("authorize").classList.toggle("on", count > 0);
  try {
    if (state.remember) sessionStorage.setItem(store, JSON.stringify(state.credentials));
    else sessionStorage.removeItem(store);
  } catch {
    // Where the browser keeps nothing, nothing is kept.
  }
  state.watchers.forEach((watch) => watch());
}

function recallCredentials() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(store));
    if (isObject(kept)) Object.assign(state, { credentials: kept, remember: true });
  } catch {
    // Nothing was kept.
  }
}

function openCredentials() {
  const dialog = byId("credentials");
  const remember = el("input", { type: "checkbox", checked: state.remember, change: () => {
    state.remember = remember.checked;
    credentialsChanged();
  } });
  const forget = () => {
    state.credentials = {};
    credentialsChanged();
    openCredentials();
  };
  const buttons = el("div.actions", {}, el("button", { type: "button", click: forget }, "Forget all"),
    el("button.primary", { type: "button", click: () => dialog.close() }, "Done"));
  dialog.replaceChildren(el("h2", { id: "credentials-title" }, "Authorize"),
    el("p.dim", {}, "Kept in this page's memory until it is closed or loaded anew."),
    ...schemes().map(([name, scheme]) => attempt(() => credentialForm(name, scheme))),
    el("label.check", {}, remember, "Remember in this tab"), buttons);
  if (!dialog.open) dialog.showModal();
}

function credentialForm(name, scheme) {
  const flow = isObject(scheme.flows) ? scheme.flows.password : undefined;
  const kind = scheme.type === "apiKey" ? `API key in the ${scheme.in} ${text(scheme.name)}` : text(scheme.scheme ?? scheme.type);
  const rows = isBasic(scheme) ? [credential(name, "username", "User name"), credential(name, "password", "Password", true)]
    : /^(?:digest|mutual)$/i.test(scheme.scheme) || scheme.type === "mutualTLS" ? [el("p.dim", {}, "The browser does this itself.")]
    : [credential(name, "value", scheme.type === "apiKey" ? "Key" : "Token", true)];
  return el("fieldset", {}, el("legend", {}, el("code", {}, name), " ", el("span.dim", {}, kind)),
    markdown(scheme.description), isObject(flow) && passwordFlow(name, flow), rows);
}

function credential(name, part, label, secret) {
  const element = el("input", { type: secret ? "password" : "text", autocomplete: "off", spellcheck: "false" });
  element.value = state.credentials[name]?.[part] ?? "";
  element.addEventListener("input", () => {
    state.credentials[name] = { ...state.credentials[name], [part]: element.value.trim() };
    credentialsChanged();
  });
  return el("label", {}, el("span", {}, label), element);
}

/** Ask for a token with a user's name and password (RFC 6749 section 4.3); neither of the two is kept. */
function passwordFlow(name, flow) {
  const username = el("input", { type: "text", autocomplete: "off", spellcheck: "false" });
  const password = el("input", { type: "password", autocomplete: "off" });
  const scopes = entries(flow.scopes).map(([scope, about]) => {
    const box = el("input", { type: "checkbox", value: scope });
    return { box, element: el("label.check", {}, box, el("code", {}, scope), " ", text(about)) };
  });
  const out = el("p", { role: "status" });
  const ask = async (event) => {
    event.preventDefault();
    const scope = scopes.filter(({ box }) => box.checked).map(({ box }) => box.value).join(" ");
    try {
      const token = await fetchToken(flow, { username: username.value, password: password.value, scope });
      state.credentials[name] = { value: token };
      credentialsChanged();
      openCredentials();
      say("Logged in");
    } catch (error) {
      out.className = "bad";
      out.textContent = error.message;
    }
  };
  return el("form", { submit: ask }, el("label", {}, el("span", {}, "User name"), username),
    el("label", {}, el("span", {}, "Password"), password), scopes.map(({ element }) => element),
    el("button", { type: "submit" }, "Get a token"), out);
}

async function fetchToken(flow, values) {
  const url = webUrl(flow.tokenUrl, documentUrl);
  if (!url) throw new Error("The document's tokenUrl is no http(s) URL.");
  const body = new URLSearchParams({ grant_type: "password", ...values });
  if (!values.scope) body.delete("scope");
  const request = { url };
  const response = await fetch(url, { method: "POST", body, cache: "no-store" }).catch((error) => {
    throw new Error(refusal(error, request));
  });
  const source = await response.text();
  const answer = attemptParse(source);
  if (response.ok && typeof answer.access_token === "string") return answer.access_token;
  const why = answer.error_description ?? answer.detail ?? answer.error ?? source.slice(0, 300);
  throw new Error(`${response.status}: ${text(why)}`);
}

function attemptParse(source) {
  try {
    const value = JSON.parse(source);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

// ---- operations ----------------------------------------------------------------------------------------------------

const BY_BROWSER = /^(?:accept-charset|accept-encoding|connection|content-length|cookie|date|dnt|expect|host|keep-alive|origin|referer|te|trailer|transfer-encoding|upgrade|user-agent|via|proxy-.*|sec-.*)$/i;

/** Every operation of the document in the order of the document, as what this page works with. */
function readOperations(paths, isWebhook) {
  const found = [];
  for (const [path, given] of entries(paths)) {
    const item = resolve(given);
    const methods = METHODS.filter((method) => isObject(item?.[method]));
    for (const method of methods) found.push(operationOf(path, item, method, isWebhook));
  }
  return found;
}

function operationOf(path, item, method, isWebhook) {
  const op = item[method];
  const wanted = (text(op.operationId) || `${method} ${path}`).replace(/[^\w.-]+/g, "-").replace(/^-|-$/g, "") || "operation";
  let id = wanted;
  for (let number = 2; state.operations.has(id) || byId(id); number++) id = `${wanted}-${number}`;
  const words = [method, path, op.operationId, op.summary, ...items(op.tags)].map(text).join(" ").toLowerCase();
  const operation = { id, path, item, method, op, isWebhook, words, tag: text(items(op.tags)[0]) || (isWebhook ? "Webhooks" : "") };
  state.operations.set(id, operation);
  return operation;
}

function operationView(operation) {
  const { op, method, path, id } = operation;
  const gone = op.deprecated === true ? ".gone" : "";
  const summary = [badge(method), el(`code.path${gone}`, {}, pathNodes(path)), el("span.summary", {}, text(op.summary)),
    gone && el("span.tag", {}, "deprecated"), requirements(operation).some((names) => names.length) && lock()];
  const details = folded("operation", summary, () => operationBody(operation), { id });
  details.addEventListener("toggle", () => details.open && history.replaceState(null, "", `#${id}`));
  return (operation.details = details);
}

const badge = (method) => el(`span.method.${method}`, {}, method.toUpperCase());
const lock = () => el("span.tag", { title: "asks for authorization" }, "auth");

function pathNodes(path) {
  const parts = path.split(/(\{[^{}]*\})/);
  return parts.map((part, index) => (index % 2 ? el("span.variable", {}, part) : part.split(/(?<=\/)/).flatMap((one) => [one, el("wbr")])));
}

function operationBody(operation) {
  const { op } = operation;
  const form = { parameters: parametersOf(operation), body: null, accept: acceptSelect(op) };
  const body = isObject(resolve(op.requestBody)) ? bodyForm(resolve(op.requestBody)) : null;
  form.body = body;
  const rows = form.parameters.map(({ parameter, schema, input }) => ({
    name: text(parameter.name), where: parameter.in, required: parameter.required === true, schema, input,
    gone: parameter.deprecated === true, about: parameter.description ? markdown(parameter.description) : description(schema),
    note: parameter.in === "header" && BY_BROWSER.test(parameter.name) && "Browsers set this header themselves.",
  }));
  const about = el("div.about", {}, markdown(op.description), link2(op.externalDocs), security(operation),
    rows.length > 0 && el("section", {}, el("h3", {}, "Parameters"), fieldTable("Parameters", rows)), body?.element);
  const answers = el("div.answers", {}, responses(op));
  if (operation.isWebhook) return el("div.body", {}, about, answers);
  return caller(operation, form, about, answers);
}

const link2 = (docs) => isObject(docs) && el("p", {}, link(docs.url, text(docs.description) || text(docs.url)));

function parametersOf({ item, op }) {
  const all = new Map([...objects(item.parameters), ...objects(op.parameters)].map((one) => [`${one.in} ${one.name}`, one]));
  return [...all.values()].map((parameter) => {
    const media = resolve(entries(parameter.content)[0]?.[1]) ?? parameter;
    const schema = media.schema ?? {};
    const example = parameter.example ?? resolve(entries(parameter.examples)[0]?.[1])?.value ?? flatten(schema).example;
    return { parameter, schema, input: field(schema, text(parameter.name), parameter.required === true, example) };
  });
}

function acceptSelect(op) {
  const good = entries(op.responses).filter(([status]) => /^2/.test(status)).flatMap(([, one]) => entries(resolve(one)?.content));
  const types = [...new Set(good.map(([type]) => type))];
  return types.length > 1 ? el("select", { "aria-label": "Accept" }, types.map((type) => el("option", {}, type))) : null;
}

function security(operation) {
  const alternatives = requirements(operation).map((names) =>
    names.length ? names.map(([name, scopes]) => name + (items(scopes).length ? ` (${scopes.join(", ")})` : "")).join(" and ") : "nothing");
  return alternatives.some((one) => one !== "nothing") && el("p.dim", {}, `Authorization: ${alternatives.join(", or ")}`);
}

/** The form around an operation: its inputs, the command, the button, and what was answered. */
function caller(operation, form, about, answers) {
  const command = el("pre", { tabindex: 0, "aria-label": "The request as a curl command" });
  const out = el("div.answer");
  const stop = el("button", { type: "button", hidden: true }, "Stop");
  const go = el("button.primary", { type: "submit" }, "Send ", el("kbd", { "aria-hidden": "true" }, "Ctrl ⏎"));
  const preview = () => command.replaceChildren(curl(compose(operation, form)));
  const submit = async (event) => {
    event.preventDefault();
    const request = compose(operation, form);
    if (!complain(element, request.problems)) return;
    const control = new AbortController();
    stop.onclick = () => control.abort();
    [stop.hidden, go.disabled] = [false, true];
    out.replaceChildren(el("p.dim", {}, "Waiting…"));
    await send(request, out, control.signal).catch((error) => out.append(el("p.bad", { role: "alert" }, refusal(error, request))));
    out.querySelector("p.dim:only-child")?.remove();
    [stop.hidden, go.disabled] = [true, false];
  };
  const keys = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && element.requestSubmit();
  const call = el("section.call", { "aria-label": "Call it" }, el("div.code", {}, command, copyButton(() => command.textContent)),
    el("div.actions", {}, form.accept, stop, go), out);
  const element = el("form.body", { submit, keydown: keys, input: preview, change: preview, novalidate: true }, about, call, answers);
  state.watchers.add(preview);
  preview();
  return element;
}

/** Show what is wrong beside each input. Returns whether nothing is. */
function complain(element, problems) {
  element.querySelectorAll("[data-field]").forEach((one) => one.removeAttribute("aria-invalid"));
  element.querySelectorAll(".complaint").forEach((one) => one.remove());
  for (const { element: input, problem } of problems) {
    input.setAttribute("aria-invalid", "true");
    const id = newId();
    input.setAttribute("aria-describedby", id);
    input.after(el("p.bad.complaint", { id }, problem));
  }
  problems[0]?.element.focus();
  return problems.length === 0;
}

function responses(op) {
  const all = entries(op.responses).map(([status, given]) => [status, resolve(given) ?? {}]);
  if (!all.length) return null;
  return el("section", {}, el("h3", {}, "Responses"), all.map(([status, one]) => {
    const tone = /^2/.test(status) ? "good" : /^[45]/.test(status) ? "bad" : "dim";
    const first = text(one.description).split("\n")[0];
    const head = [el(`strong.${tone}`, {}, status), el("span", {}, first), el("code.dim", {}, entries(one.content).map(([type]) => type).join(", "))];
    return folded("response", head, () => responseBody(one, first));
  }));
}

function responseBody(response, first) {
  const headers = entries(response.headers).map(([name, one]) => ({ name, one: resolve(one)?.schema ?? {} }));
  const listed = headers.map((part) => el("li", {}, member(part)));
  return el("div.inside", {}, text(response.description) !== first && markdown(response.description),
    listed.length > 0 && [el("h4", {}, "Headers"), el("ul.schema", {}, listed)],
    entries(response.content).map(([type, media]) => mediaView(type, resolve(media) ?? {})));
}

function mediaView(type, media) {
  const shown = examplesOf(media, "writeOnly").slice(0, 5).map(([name, value]) => [name !== "example" && el("p.dim", {}, name), codeBlock(value, isJsonType(type) || typeof value !== "string")]);
  return [el("h4", {}, el("code", {}, type)), media.schema !== undefined && schemaView(media.schema), shown];
}

// ---- the page ------------------------------------------------------------------------------------------------------

function groups(all) {
  const names = [...objects(state.spec.tags).map((tag) => text(tag.name)), ...all.map(({ tag }) => tag)];
  return [...new Set(names)].map((name) => ({ name, members: all.filter(({ tag }) => tag === name) })).filter(({ members }) => members.length);
}

function groupView({ name, members }) {
  const tag = objects(state.spec.tags).find((one) => one.name === name) ?? {};
  return el("section.group", {}, el("h2", {}, name || "Operations"), markdown(tag.description), link2(tag.externalDocs), members.map(operationView));
}

function indexView({ name, members }) {
  const links = members.map((operation) => {
    const { op, id, method, path } = operation;
    const label = el(op.deprecated === true ? "span.gone" : "span", {}, text(op.summary) || path);
    return (operation.entry = el("li", {}, el("a", { href: `#${id}` }, badge(method), label)));
  });
  return el("section", {}, el("h2", {}, name || "Operations"), el("ul", {}, links));
}

function infoView() {
  const info = isObject(state.spec.info) ? state.spec.info : {};
  const contact = isObject(info.contact) ? info.contact : {};
  const license = isObject(info.license) ? info.license : {};
  const facts = [info.version && el("span.tag", {}, text(info.version)), link(documentUrl.href, "OpenAPI document"),
    info.termsOfService && link(info.termsOfService, "Terms of service"),
    contact.url && link(contact.url, text(contact.name) || "Contact"), contact.email && el("span", {}, text(contact.email)),
    license.name && (license.url ? link(license.url, text(license.name)) : el("span", {}, text(license.name)))];
  return el("header.info", {}, el("h1", {}, text(info.title) || "API"), el("p.row", {}, facts), markdown(info.description), serverSelect());
}

function serverSelect() {
  const servers = objects(state.spec.servers);
  state.server = servers[0] ?? null;
  if (servers.length < 2) return null;
  const options = servers.map((server) => el("option", {}, [serverUrl(server).href, text(server.description)].filter(Boolean).join(" – ")));
  const change = (event) => {
    state.server = servers[event.target.selectedIndex];
    state.watchers.forEach((watch) => watch());
  };
  return el("label.row", {}, "Server", el("select", { change }, options));
}

function schemasView() {
  const all = entries(state.spec.components?.schemas);
  if (!all.length) return null;
  const shown = all.map(([name, schema]) => folded("response", [el("code.name", {}, name), el("span.type", {}, typeName(flatten(schema)))],
    () => el("div.inside", {}, description(schema), schemaView(schema))));
  return el("section.group", {}, el("h2", {}, "Schemas"), shown);
}

function filterBy(wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { words: own, details, entry } of state.operations.values()) {
    const hidden = !words.every((word) => own.includes(word));
    [details.hidden, entry.hidden] = [hidden, hidden];
    count += hidden ? 0 : 1;
  }
  document.querySelectorAll(".group, #index section").forEach((group) => {
    const members = [...group.querySelectorAll(".operation, li:has(> a)")];
    group.hidden = words.length > 0 && members.every((one) => one.hidden);
  });
  say(words.length ? `${count} operations` : "");
}

function followHash() {
  const operation = state.operations.get(attemptDecode(location.hash.slice(1)));
  if (!operation) return;
  operation.details.hidden = false;
  operation.details.open = true;
  operation.details.fill();
  operation.details.scrollIntoView();
  operation.details.firstElementChild.focus({ preventScroll: true });
  toggleMenu(false);
}

function toggleMenu(open = !document.body.classList.contains("menu")) {
  document.body.classList.toggle("menu", open);
  byId("menu").setAttribute("aria-expanded", String(open));
}

function listen() {
  const filter = byId("filter");
  filter.addEventListener("input", () => filterBy(filter.value));
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Escape") filterBy((filter.value = ""));
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key !== "/" || typing) return;
    event.preventDefault();
    filter.focus();
  });
  byId("menu").addEventListener("click", () => toggleMenu());
  byId("authorize").addEventListener("click", openCredentials);
  addEventListener("hashchange", followHash);
}

async function fetchDocument() {
  const response = await fetch(documentUrl, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${documentUrl.pathname} was answered with ${response.status}`);
  const spec = await response.json();
  if (!isObject(spec)) throw new Error(`${documentUrl.pathname} is no OpenAPI document`);
  return spec;
}

async function start() {
  const main = byId("main");
  listen();
  try {
    state.spec = await fetchDocument();
    recallCredentials();
    const all = [...readOperations(state.spec.paths, false), ...readOperations(state.spec.webhooks, true)];
    const found = groups(all);
    main.replaceChildren(infoView(), ...found.map(groupView), schemasView() ?? "");
    byId("index").replaceChildren(...found.map(indexView));
    byId("authorize").hidden = schemes().length === 0;
    credentialsChanged();
    followHash();
  } catch (error) {
    main.replaceChildren(el("h1", {}, "The API's document could not be shown"), el("p.bad", { role: "alert" }, error.message));
  }
  main.removeAttribute("aria-busy");
}

start();
