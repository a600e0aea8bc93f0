// Schemas as lists of members, opened one by one.

const variantsOf = (schema) => [...items(schema.oneOf), ...items(schema.anyOf)];

const flattened = new WeakMap();

/** The schema with its references followed and its `allOf` merged. */
function flatten(schema, depth = 0) {
  if (!isObject(schema)) return {};
  if (!flattened.has(schema)) flattened.set(schema, merge(resolve(schema), depth));
  return flattened.get(schema);
}

function merge(own, depth) {
  if (!isObject(own)) return {};
  if (!Array.isArray(own.allOf) || depth > 20) return own;
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
    if (type === "object" && isObject(schema.additionalProperties))
      return `map of ${name(schema.additionalProperties)}`;
    return type === "string" && schema.format ? text(schema.format) : type;
  });
  return names.join(" | ") || (schema.enum ? "enum" : "any");
}

const FACTS = [
  ["minimum", "≥ "],
  ["exclusiveMinimum", "> "],
  ["maximum", "≤ "],
  ["exclusiveMaximum", "< "],
  ["multipleOf", "multiple of "],
  ["minLength", "min. length "],
  ["maxLength", "max. length "],
  ["minItems", "min. items "],
  ["maxItems", "max. items "],
  ["pattern", "pattern "],
  ["format", "format "],
];

/** What else is known of the values: limits, choices, default. */
function facts(schema) {
  return factsOf(withoutNull(schema)).map((fact) => el("span.fact", {}, fact));
}

function factsOf(flat, depth = 0) {
  const isString = typesOf(flat).includes("string");
  const keys = FACTS.filter(([key]) => flat[key] !== undefined && !(key === "format" && isString));
  const found = keys.map(([key, label]) => label + text(flat[key]));
  if (flat.uniqueItems === true) found.push("unique items");
  if (Array.isArray(flat.enum)) found.push(`one of ${flat.enum.slice(0, 30).map(text).join(", ")}`);
  if (isObject(flat.items) && depth < 3 && !isNested(flat.items)) {
    found.push(...factsOf(withoutNull(flat.items), depth + 1).map((fact) => `each ${fact}`));
  }
  if (flat.default !== undefined) found.push(`default ${JSON.stringify(flat.default)}`);
  if (flat.readOnly === true) found.push("read only");
  if (flat.writeOnly === true) found.push("write only");
  return found;
}

/** The schemas inside of a schema, with what to call them; those of an array are those of its items. */
function inside(schema, depth = 0) {
  const flat = withoutNull(schema);
  const needed = items(flat.required);
  const found = entries(flat.properties).map(([name, one]) => ({ name, one, required: needed.includes(name) }));
  items(flat.prefixItems).forEach((one, index) => found.push({ name: `[${index}]`, one }));
  if (isObject(flat.items) && isNested(flat.items) && depth < 5) found.push(...inside(flat.items, depth + 1));
  const other = flat.additionalProperties;
  if (isObject(other)) found.push({ name: "any other name", one: other, plain: true });
  for (const one of hasTellingVariants(flat) ? variantsOf(flat) : []) found.push({ name: "either", one, plain: true });
  return found;
}

const isNested = (schema, depth = 0) => {
  const flat = withoutNull(schema);
  if (entries(flat.properties).length || items(flat.prefixItems).length) return true;
  if (isObject(flat.additionalProperties) || hasTellingVariants(flat, depth)) return true;
  return isObject(flat.items) && depth < 3 && isNested(flat.items, depth + 1);
};

/** Whether there is more to say of the alternatives than their types. */
function hasTellingVariants(schema, depth = 0) {
  const tells = (one) => isNested(one, depth + 1) || flatten(one).description || factsOf(flatten(one)).length > 0;
  return depth < 2 && variantsOf(schema).some(tells);
}

function schemaView(schema) {
  const isObjectOnly = typesOf(flatten(schema)).join() === "object" && isNested(schema);
  const head = isObjectOnly ? null : el("p.schema", {}, typeLine(schema));
  return el("div", {}, head, isNested(schema) ? membersOf(schema) : description(schema));
}

function membersOf(schema) {
  const parts = inside(schema).map((part) =>
    el(
      "li",
      {},
      attempt(() => member(part)),
    ),
  );
  return el("ul.schema", {}, parts);
}

function member({ name, one, required, plain }) {
  const flat = flatten(one);
  const label = [
    el(plain ? "span.dim" : `code.name${flat.deprecated === true ? ".gone" : ""}`, {}, name),
    required && el("span.required", { title: "required" }, "required"),
    typeLine(one),
  ];
  const head = isNested(one) ? folded("member", label, () => membersOf(one)) : el("div.member", {}, label);
  return [head, description(one)];
}

const typeLine = (schema) => [el("span.type", {}, typeName(schema)), ...facts(schema)];

function description(schema) {
  return markdown(flatten(schema).description);
}
