// The page around the operations, and its start.

function groups(all) {
  const names = [...objects(state.spec.tags).map((tag) => text(tag.name)), ...all.map(({ tag }) => tag)];
  return [...new Set(names)]
    .map((name) => ({ name, members: all.filter(({ tag }) => tag === name) }))
    .filter(({ members }) => members.length);
}

function groupView({ name, members }) {
  const tag = objects(state.spec.tags).find((one) => one.name === name) ?? {};
  return el(
    "section.group",
    {},
    el("h2", {}, name || "Operations"),
    markdown(tag.description),
    docsLink(tag.externalDocs),
    members.map(operationView),
  );
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
  const known = [
    info.version && el("span.tag", {}, text(info.version)),
    link(documentUrl.href, "OpenAPI document"),
    info.termsOfService && link(info.termsOfService, "Terms of service"),
    contact.url && link(contact.url, text(contact.name) || "Contact"),
    contact.email && el("span", {}, text(contact.email)),
    license.name && (license.url ? link(license.url, text(license.name)) : el("span", {}, text(license.name))),
  ];
  return el(
    "header.info",
    {},
    el("h1", {}, text(info.title) || "API"),
    el("p.row", {}, known),
    markdown(info.description),
    serverSelect(),
  );
}

function serverSelect() {
  const servers = objects(state.spec.servers);
  state.server = servers[0] ?? null;
  if (servers.length < 2) return null;
  const options = servers.map((server) =>
    el("option", {}, [serverUrl(server).href, text(server.description)].filter(Boolean).join(" – ")),
  );
  const change = (event) => {
    state.server = servers[event.target.selectedIndex];
    state.watchers.forEach((watch) => watch());
  };
  return el("label.row", {}, "Server", el("select", { change }, options));
}

function schemasView() {
  const all = entries(state.spec.components?.schemas);
  if (!all.length) return null;
  const shown = all.map(([name, schema]) =>
    folded("response", [el("code.name", {}, name), el("span.type", {}, typeName(flatten(schema)))], () =>
      el("div.inside", {}, description(schema), schemaView(schema)),
    ),
  );
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
  const operation = state.operations.get(decode(location.hash.slice(1)));
  if (!operation) return;
  if (operation.details.hidden) filterBy((byId("filter").value = ""));
  opened(operation.details, true);
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
    const typing =
      event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key !== "/" || typing) return;
    event.preventDefault();
    filter.focus();
  });
  byId("menu").addEventListener("click", () => toggleMenu());
  byId("authorize").addEventListener("click", openCredentials);
  addEventListener("hashchange", followHash);
}

/** Numbers that JavaScript would round stay as they are written, where the browser can (JSON.rawJSON). */
function parseDocument(source) {
  if (!JSON.rawJSON || !/\d{16}/.test(source)) return JSON.parse(source);
  const isRounded = (value) => typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return JSON.parse(source, (key, value, context) => (isRounded(value) ? JSON.rawJSON(context.source) : value));
}

async function fetchDocument() {
  const response = await fetch(documentUrl, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${documentUrl.pathname} was answered with ${response.status}`);
  const spec = parseDocument(await response.text());
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
    main.replaceChildren(
      el("h1", {}, "The API's document could not be shown"),
      el("p.bad", { role: "alert" }, error.message),
    );
  }
  main.removeAttribute("aria-busy");
}

start();
