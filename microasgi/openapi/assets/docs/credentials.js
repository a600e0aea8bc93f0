// Who is calling: kept in memory, or in this tab where one asks for it.

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
  } else request.headers.set("Authorization", `${authenticationScheme(scheme)} ${value}`);
}

/** The word before the token: Bearer, or what else the document names. */
const authenticationScheme = ({ type, scheme }) =>
  type !== "http" || /^bearer$/i.test(scheme) ? "Bearer" : text(scheme);
const isBasic = (scheme) => scheme.type === "http" && /^basic$/i.test(scheme.scheme);

function credentialsChanged() {
  const count = schemes().filter(([name]) => isGiven(name)).length;
  byId("authorize").textContent = count ? `Authorized (${count})` : "Authorize";
  byId("authorize").classList.toggle("on", count > 0);
  try {
    if (state.remember && count) sessionStorage.setItem(store, JSON.stringify(state.credentials));
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
  const remember = el("input", {
    type: "checkbox",
    checked: state.remember,
    change: () => {
      state.remember = remember.checked;
      credentialsChanged();
    },
  });
  const forget = () => {
    state.credentials = {};
    credentialsChanged();
    openCredentials();
  };
  const buttons = el(
    "div.actions",
    {},
    el("button", { type: "button", click: forget }, "Forget all"),
    el("button.primary", { type: "button", click: () => dialog.close() }, "Done"),
  );
  dialog.replaceChildren(
    el("h2", { id: "credentials-title" }, "Authorize"),
    el("p.dim", {}, "Kept in this page's memory until it is closed or loaded anew."),
    ...schemes().map(([name, scheme]) => attempt(() => credentialForm(name, scheme))),
    el("label.check", {}, remember, "Remember in this tab"),
    buttons,
  );
  if (!dialog.open) dialog.showModal();
}

function credentialForm(name, scheme) {
  const flow = isObject(scheme.flows) ? scheme.flows.password : undefined;
  const isKey = scheme.type === "apiKey";
  const kind = isKey ? `API key in the ${text(scheme.in)} ${text(scheme.name)}` : text(scheme.scheme ?? scheme.type);
  const byBrowser = /^(?:digest|negotiate|mutual)$/i.test(scheme.scheme) || scheme.type === "mutualTLS";
  const rows = isBasic(scheme)
    ? [credential(name, "username", "User name"), credential(name, "password", "Password", true)]
    : [credential(name, "value", isKey ? "Key" : "Token", true)];
  const submit = (event) => {
    event.preventDefault();
    byId("credentials").close();
  };
  return el(
    "fieldset",
    {},
    el("legend", {}, el("code", {}, name), " ", el("span.dim", {}, kind)),
    markdown(scheme.description),
    isObject(flow) && passwordFlow(name, flow),
    isKey && scheme.in === "cookie" && el("p.dim", {}, AS_COOKIE),
    byBrowser ? el("p.dim", {}, "The browser does this itself.") : el("form", { submit }, rows),
  );
}

function credential(name, part, label, secret) {
  const element = el("input", { type: secret ? "password" : "text", autocomplete: "off", spellcheck: "false" });
  element.value = state.credentials[name]?.[part] ?? "";
  element.addEventListener("input", () => {
    state.credentials[name] = {
      ...state.credentials[name],
      [part]: part === "value" ? element.value.trim() : element.value,
    };
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
    const scope = scopes
      .filter(({ box }) => box.checked)
      .map(({ box }) => box.value)
      .join(" ");
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
  return el(
    "form",
    { submit: ask },
    el("label", {}, el("span", {}, "User name"), username),
    el("label", {}, el("span", {}, "Password"), password),
    scopes.map(({ element }) => element),
    el("button", { type: "submit" }, "Get a token"),
    out,
  );
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
  const answer = parseObject(source);
  if (response.ok && typeof answer.access_token === "string") return answer.access_token;
  const why = answer.error_description ?? answer.detail ?? answer.error ?? source.slice(0, 300);
  throw new Error(`${response.status}: ${text(why)}`);
}

function parseObject(source) {
  try {
    const value = JSON.parse(source);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
