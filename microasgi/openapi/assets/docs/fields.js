// The form: inputs for parameters and for bodies.

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
  const hint = flat.default === undefined ? (SAMPLES[flat.format] ?? "") : text(flat.default);
  const element = el("input", { ...shared, type: kind, inputmode: mode, placeholder: hint, autocomplete: "off" });
  element.value = text(example);
  return { element, read: () => element.value || undefined };
}

function choiceField(choices, shared, example) {
  const only = shared["aria-required"] && choices.length === 1 ? choices[0] : example;
  const options = choices.map((one) => el("option", { value: text(one), selected: one === only }, text(one)));
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
  const read = () =>
    element.value
      .split("\n")
      .map((line) => line.replace(/\r$/, ""))
      .filter(Boolean);
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

/** The editor of a request body: its element, and `fill`, which puts the body into a request. */
function bodyForm(body) {
  const types = entries(body.content).map(([type, media]) => [type, resolve(media) ?? {}]);
  if (!types.length) return null;
  const slot = el("div");
  const select = el(
    "select",
    { "aria-label": "Media type of the body", change: show },
    types.map(([type]) => el("option", {}, type)),
  );
  let editor;
  function show() {
    const [type, media] = types[select.selectedIndex];
    editor = attempt(() => editorFor(type, media, body.required === true));
    slot.replaceChildren(editor.element ?? editor);
  }
  show();
  const title = el(
    "div.row",
    {},
    el("h3", {}, "Body"),
    body.required === true && el("span.required", {}, "required"),
    types.length > 1 ? select : el("code.dim", {}, types[0][0]),
  );
  const schema = () => schemaView(types[select.selectedIndex][1].schema ?? true);
  const element = el(
    "section",
    {},
    title,
    description(body),
    slot,
    types.length === 1 && folded("more", "Schema", schema),
  );
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
  const choose = (event) => (
    fillIn(examples[event.target.selectedIndex][1]),
    element.dispatchEvent(new Event("input", { bubbles: true }))
  );
  const select = el(
    "select",
    { "aria-label": "Example", change: choose },
    examples.map(([name]) => el("option", {}, name)),
  );
  const fill = (request) =>
    readInto(request, { element, read: check }, required, (source) => setBody(request, type, source));
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
      readInto(request, input, required, (value) =>
        [value].flat().forEach((one) => body.append(name, one instanceof File ? one : text(one))),
      );
    }
    if (isMultipart)
      request.body = body; // the browser writes the boundary into content-type
    else setBody(request, type, body.toString());
  };
  const element = fieldTable(
    "Fields of the form",
    rows.map((row) => ({ ...row, where: null, about: description(row.schema) })),
  );
  return { element, fill };
}

/** A table of inputs: name, what is known of it, input. */
function fieldTable(caption, rows) {
  const head = el(
    "thead.unseen",
    {},
    el(
      "tr",
      {},
      ["Name", "Description", "Value"].map((title) => el("th", { scope: "col" }, title)),
    ),
  );
  const body = rows.map(({ name, where, required, schema, about, input, gone, note }) => {
    const label = [
      el(`code.name${gone ? ".gone" : ""}`, {}, name),
      required && el("span.required", {}, "required"),
      where && el("span.dim", {}, where),
    ];
    const known = [el("p.schema", {}, typeLine(schema)), about, note && el("p.dim", {}, note)];
    return el("tr", {}, el("th", { scope: "row" }, label), el("td", {}, known), el("td", {}, input.element));
  });
  return el("table.fields", {}, el("caption.unseen", {}, caption), head, el("tbody", {}, body));
}
