// Operations: what they take, the call, what they answer.

// What `fetch` does not let a page set (Fetch standard, forbidden request-headers), and what browsers overwrite.
const BY_BROWSER = new RegExp(
  "^(accept-charset|accept-encoding|connection|content-length|cookie|date|dnt|expect|host|keep-alive|origin|referer|te|" +
    "trailer|transfer-encoding|upgrade|user-agent|via|proxy-.*|sec-.*)$",
  "i",
);

/** Every operation of the document in the order of the document, as what this page works with. */
function readOperations(paths, isWebhook) {
  const found = [];
  for (const [path, given] of entries(paths)) {
    const item = resolve(given);
    const methods = Object.keys(item ?? {}).filter((key) => METHODS.includes(key) && isObject(item[key]));
    for (const method of methods) found.push(operationOf(path, item, method, isWebhook));
  }
  return found;
}

function operationOf(path, item, method, isWebhook) {
  const op = item[method];
  const wanted =
    (text(op.operationId) || `${method} ${path}`).replace(/[^\w.-]+/g, "-").replace(/^-|-$/g, "") || "operation";
  let id = wanted;
  for (let number = 2; state.operations.has(id) || byId(id); number++) id = `${wanted}-${number}`;
  const words = [method, path, op.operationId, op.summary, ...items(op.tags)].map(text).join(" ").toLowerCase();
  const operation = {
    id,
    path,
    item,
    method,
    op,
    isWebhook,
    words,
    tag: text(items(op.tags)[0]) || (isWebhook ? "Webhooks" : ""),
  };
  state.operations.set(id, operation);
  return operation;
}

function operationView(operation) {
  const { op, method, path, id } = operation;
  const gone = op.deprecated === true ? ".gone" : "";
  const summary = [
    badge(method),
    el(`code.path${gone}`, {}, pathNodes(path)),
    el("span.summary", {}, text(op.summary)),
    gone && el("span.tag", {}, "deprecated"),
    requirements(operation).some((names) => names.length) && lock(),
  ];
  const details = folded("operation", summary, () => operationBody(operation), { id });
  details.addEventListener("toggle", () => details.open && nowAt(operation));
  return (operation.details = details);
}

function nowAt({ id, entry }) {
  history.replaceState(null, "", `#${id}`);
  for (const one of document.querySelectorAll("#index [aria-current]")) one.removeAttribute("aria-current");
  entry.firstElementChild.setAttribute("aria-current", "location");
}

const badge = (method) => el(`span.method.${method}`, {}, method.toUpperCase());
const lock = () => el("span.tag", { title: "asks for authorization" }, "auth");

function pathNodes(path) {
  const parts = path.split(/(\{[^{}]*\})/);
  return parts.map((part, index) =>
    index % 2 ? el("span.variable", {}, part) : part.split(/(?<=\/)/).flatMap((one) => [one, el("wbr")]),
  );
}

function operationBody(operation) {
  const { op } = operation;
  const form = { parameters: parametersOf(operation), body: null, accept: acceptSelect(op) };
  const body = isObject(resolve(op.requestBody)) ? bodyForm(resolve(op.requestBody)) : null;
  form.body = body;
  const rows = form.parameters.map(({ parameter, schema, input }) => ({
    name: text(parameter.name),
    where: parameter.in,
    required: parameter.required === true,
    schema,
    input,
    gone: parameter.deprecated === true,
    about: markdown(parameter.description) ?? description(schema),
    note: noteOn(parameter),
  }));
  const about = el(
    "div.about",
    {},
    markdown(op.description),
    docsLink(op.externalDocs),
    security(operation),
    rows.length > 0 && el("section", {}, el("h3", {}, "Parameters"), fieldTable("Parameters", rows)),
    body?.element,
  );
  const answers = el("div.answers", {}, responses(op));
  if (operation.isWebhook) return el("div.body", {}, about, answers);
  return caller(operation, form, about, answers);
}

function noteOn(parameter) {
  if (parameter.in === "cookie") return AS_COOKIE;
  const isTheirs = parameter.in === "header" && BY_BROWSER.test(text(parameter.name));
  return isTheirs && "Browsers set this header themselves: use the command.";
}

const docsLink = (docs) => isObject(docs) && el("p", {}, link(docs.url, text(docs.description) || text(docs.url)));

function parametersOf({ item, op }) {
  const all = new Map(
    [...objects(item.parameters), ...objects(op.parameters)].map((one) => [`${one.in} ${one.name}`, one]),
  );
  return [...all.values()].map((parameter) => {
    const media = resolve(entries(parameter.content)[0]?.[1]) ?? parameter;
    const schema = media.schema ?? {};
    const example = parameter.example ?? resolve(entries(parameter.examples)[0]?.[1])?.value ?? flatten(schema).example;
    return { parameter, schema, input: field(schema, text(parameter.name), parameter.required === true, example) };
  });
}

function acceptSelect(op) {
  const good = entries(op.responses)
    .filter(([status]) => /^2/.test(status))
    .flatMap(([, one]) => entries(resolve(one)?.content));
  const types = [...new Set(good.map(([type]) => type))];
  return types.length > 1
    ? el(
        "select",
        { "aria-label": "Accept" },
        types.map((type) => el("option", {}, type)),
      )
    : null;
}

function security(operation) {
  const one = ([name, scopes]) => name + (items(scopes).length ? ` (${scopes.map(text).join(", ")})` : "");
  const alternatives = requirements(operation).map((names) => names.map(one).join(" and ") || "nothing");
  if (alternatives.every((alternative) => alternative === "nothing")) return null;
  const button = el("button.quiet", { type: "button", click: openCredentials }, "Authorize");
  return el("p.row", {}, el("span.dim", {}, `Needs ${alternatives.join(", or ")}`), button);
}

/** The form around an operation: its inputs, the command, the button, and what was answered. */
function caller(operation, form, about, answers) {
  const command = el("pre", { tabindex: 0, "aria-label": "The request as a curl command" });
  const out = el("div.answer");
  const stop = el("button", { type: "button", hidden: true }, "Stop");
  const go = el("button.primary", { type: "submit" }, "Send", el("kbd", { "aria-hidden": "true" }, "Ctrl ⏎"));
  const preview = () => command.replaceChildren(curl(compose(operation, form)));
  const submit = async (event) => {
    event.preventDefault();
    const request = compose(operation, form);
    if (!complain(element, request.problems) || !stop.hidden) return;
    const control = new AbortController();
    stop.onclick = () => control.abort();
    stop.hidden = false;
    await send(request, out, control.signal);
    stop.hidden = true;
  };
  const keys = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && element.requestSubmit();
  const call = el(
    "section.call",
    { "aria-label": "Call it" },
    el("div.code", {}, command, copyButton(command)),
    el("div.actions", {}, form.accept, stop, go),
    out,
  );
  const listeners = { submit, keydown: keys, input: preview, change: preview };
  const element = el("form.body", { ...listeners, novalidate: true, autocomplete: "off" }, about, call, answers);
  state.watchers.add(preview);
  preview();
  return element;
}

/** Show what is wrong beside each input. Returns whether nothing is. */
function complain(element, problems) {
  for (const one of element.querySelectorAll("[data-field]")) {
    one.removeAttribute("aria-invalid");
    one.removeAttribute("aria-describedby");
  }
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
  return el(
    "section",
    {},
    el("h3", {}, "Responses"),
    all.map(([status, one]) => {
      const tone = /^2/.test(status) ? "good" : /^[45]/.test(status) ? "bad" : "dim";
      const first = text(one.description).split("\n")[0];
      const head = [
        el(`strong.${tone}`, {}, status),
        el("span", {}, first),
        el(
          "code.dim",
          {},
          entries(one.content)
            .map(([type]) => type)
            .join(", "),
        ),
      ];
      return opened(
        folded("response", head, () => responseBody(one, first)),
        /^2/.test(status),
      );
    }),
  );
}

function responseBody(response, first) {
  const headers = entries(response.headers).map(([name, one]) => ({ name, one: resolve(one)?.schema ?? {} }));
  const listed = headers.map((part) => el("li", {}, member(part)));
  return el(
    "div.inside",
    {},
    text(response.description) !== first && markdown(response.description),
    listed.length > 0 && [el("h4", {}, "Headers"), el("ul.schema", {}, listed)],
    entries(response.content).map(([type, media], _, all) => mediaView(type, resolve(media) ?? {}, all.length > 1)),
  );
}

function mediaView(type, media, isOneOfSeveral) {
  const isJson = isJsonType(type);
  const examples =
    isJson || media.examples || media.example !== undefined ? examplesOf(media, "writeOnly").slice(0, 5) : [];
  const shown = examples.map(([name, value]) => [
    examples.length > 1 && el("p.dim", {}, name),
    codeBlock(value, isJson),
  ]);
  return [
    isOneOfSeveral && el("h4", {}, el("code", {}, type)),
    media.schema !== undefined && schemaView(media.schema),
    shown,
  ];
}
