// Sending a request, and its answer as it comes.

const size = (bytes) =>
  bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** Send the request and show the answer as it comes, or why there is none. */
async function send(request, out, signal) {
  const waiting = el("p.dim", {}, "Waiting…");
  out.replaceChildren(waiting);
  try {
    await exchange(request, out, signal);
  } catch (error) {
    out.append(el("p.bad", { role: "alert" }, refusal(error, request)));
  }
  waiting.remove();
}

async function exchange({ method, headers, body, url, cookies }, out, signal) {
  const began = performance.now();
  const takeBack = setCookies(cookies, url);
  const answered = fetch(url, { method, headers: [...headers], body, signal, cache: "no-store" });
  const response = await answered.finally(takeBack);
  const title = `${response.status} ${response.statusText}`.trim();
  const tone = response.ok ? "good" : response.status < 400 ? "dim" : "bad";
  const measure = el("span.dim");
  const slot = el("div");
  const parts = [el("p.status", {}, el(`strong.${tone}`, {}, title), measure), headersOf(response), slot];
  if (response.redirected) parts.splice(1, 0, el("p.dim", {}, `Redirected to ${response.url}`));
  out.replaceChildren(...parts);
  say(`Answer: ${title}`);
  await showBody(response, slot, (bytes) => {
    measure.textContent = `${Math.round(performance.now() - began)} ms · ${size(bytes)}`;
  });
}

/** Cookies go out as the browser's own, for this URL and this call only. Returns what takes them away again. */
function setCookies(cookies, url) {
  const path = url.pathname.includes(";") ? "/" : url.pathname;
  const write = (age) =>
    cookies.forEach(([name, value]) => {
      if (url.origin === location.origin)
        document.cookie = `${name}=${value}; path=${path}; max-age=${age}; samesite=strict`;
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
  const isText = /^text\/|json|xml|javascript|yaml|x-www-form-urlencoded/i.test(type) && !/svg/i.test(type);
  const pre = el("pre", { tabindex: 0, "aria-label": "Body of the answer" });
  if (isText) slot.append(el("div.code", {}, pre, copyButton(pre)));
  const { blob, isWhole } = await readBody(response, type, isText ? pre : null, tick);
  if (!blob.size) return slot.replaceChildren(el("p.dim", {}, "No body."));
  if (isText && isJsonType(type) && isWhole) showJson(pre, await blob.text());
  if (!isWhole) slot.append(el("p.dim", {}, "Only the beginning is shown."));
  if (/^image\//i.test(type)) slot.append(await picture(blob));
  if (!isText || !isWhole) slot.append(download(blob, response));
}

/** Read the body to its end; its text stands in `pre` as it comes. */
async function readBody(response, type, pre, tick) {
  const chunks = [];
  const decoder = decoderFor(type);
  let [bytes, shown] = [0, 0];
  tick(0);
  for (const reader = response.body?.getReader(); reader;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    tick((bytes += value.length));
    const piece = pre && shown < SHOWN ? decoder.decode(value, { stream: true }) : "";
    if (piece) pre.append(piece.slice(0, SHOWN - shown));
    shown += piece.length;
  }
  return { blob: new Blob(chunks, { type }), isWhole: shown < SHOWN };
}

function decoderFor(type) {
  try {
    return new TextDecoder(/charset="?([\w.:-]+)/i.exec(type)?.[1]);
  } catch {
    return new TextDecoder();
  }
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
  return el(
    "p",
    {},
    el("a", { href, download: named ?? "answer" }, `Save ${named ?? "the answer"} (${size(blob.size)})`),
  );
}

function refusal(error, request) {
  if (error.name === "AbortError") return "Stopped.";
  if (request.url.origin !== location.origin) {
    return `This page may call its own origin only, and ${request.url.origin} is another. Use the curl command.`;
  }
  return `There was no answer: ${error.message}`;
}
