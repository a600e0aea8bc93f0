// What the form says, as a request and as a curl command.

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
    return index % 2 ? (inPath.get(part.slice(1, -1)) ?? part) : encodeURI(part).replace(/[?#]/g, encodeURIComponent);
  });
  const url = new URL(base.origin + base.pathname.replace(/\/+$/, "") + parts.join("").replace(/^\/?/, "/"));
  url.search = query.map((pair) => pair.map((one) => encodeURIComponent(text(one))).join("=")).join("&");
  return url;
}

const shell = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const AS_COOKIE = "Sent as a cookie of this site, for the one call.";

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
