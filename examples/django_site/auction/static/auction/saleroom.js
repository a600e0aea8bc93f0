// Shows lots as they change. Whatever anybody wrote is put in as text, never as HTML.

const find = (selector) => document.querySelector(selector);
const { lots: LOTS, socket: SOCKET, events: EVENTS, page: PAGE } = find("#live").dataset;
const BY_EVENTS = new URLSearchParams(location.search).get("by") === "events";
const LOGGED_OUT = 4401, RESTARTS = 1012;
const FIRST_PAUSE = 500, LONGEST_PAUSE = 15000, SILENCE = 50000; // the server says something at least every 20 seconds

const CALM = matchMedia("(prefers-reduced-motion: reduce)").matches;
const FLASH = getComputedStyle(document.documentElement).getPropertyValue("--flash");

let pause = FIRST_PAUSE, silence;

// The connection

find(BY_EVENTS ? "#by-events" : "#by-socket").ariaCurrent = "true";

function showState(state, words) {
  find("#state").dataset.state = state;
  find("#state").textContent = words;
}

function opened() {
  pause = FIRST_PAUSE;
  showState("live", "Live");
  load(); // what has changed before
}

function connectSocket() {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${SOCKET}`);
  const listen = () => { clearTimeout(silence); silence = setTimeout(() => socket.close(), SILENCE); };
  socket.onopen = () => { listen(); opened(); };
  socket.onmessage = (event) => { listen(); take(JSON.parse(event.data)); };
  socket.onclose = ({ code }) => {
    clearTimeout(silence);
    if (code === LOGGED_OUT) return leave();
    showState("away", code === RESTARTS ? "The server restarts …" : "Connection lost. Trying again …");
    setTimeout(connectSocket, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  };
}

function connectEvents() {
  const source = new EventSource(EVENTS); // it comes back by itself, but for an answer that is none
  source.onopen = opened;
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.addEventListener("gap", load);
  source.onerror = () => {
    showState("away", "Connection lost. Trying again …");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(connectEvents, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  };
}

function leave() {
  showState("out", "You have logged out.");
  find("#bid")?.remove();
  find("#office")?.remove();
  notify("You have logged out. ", location.pathname, "Load the page again");
}

async function load() {
  const gone = new Set([...document.querySelectorAll("[data-lot]")].map((element) => Number(element.dataset.lot)));
  for (let after = 0, found; !found || found.length === 50; after = found.at(-1)?.id) {
    const answer = await fetch(`${LOTS}?after=${after}`).catch(() => null);
    if (!answer?.ok) return;
    found = await answer.json();
    for (const lot of found) { show(lot); gone.delete(lot.id); }
  }
  gone.forEach(remove);
}

// What comes

function take(message) {
  if (message.type === "lot") show(message.lot);
  else if (message.type === "gone") remove(message.id);
  else if (message.type === "gap") load();
  else if (message.type === "outbid") notify(`Somebody bids ${euros(message.price)} for `, pageOf(message.lot), message.title);
}

function show(lot) {
  const element = find(`[data-lot="${lot.id}"]`) ?? add(lot);
  if (!element || element.dataset.version && Number(element.dataset.version) >= lot.version) return;
  const price = element.querySelector("[data-show=price]");
  const changes = ![euros(lot.price), ""].includes(price.textContent); // without one it has just been added
  element.dataset.version = lot.version; // two changes may overtake each other: the higher version is the newer
  element.dataset.state = lot.state;
  element.dataset.kind = lot.kind;
  const use = element.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${lot.kind}`));
  fill(element, "title", lot.title);
  price.textContent = euros(lot.price);
  fill(element, "state", lot.state);
  fill(element, "bidding", lot.bids ? `${lot.leader} leads, ${lot.bids} bid${lot.bids === 1 ? "" : "s"}` : "No bid yet");
  element.querySelector("time").dateTime = lot.closes;
  const amount = element.querySelector("#amount");
  if (amount) amount.min = amount.placeholder = lot.least;
  tick();
  if (changes && !CALM) price.animate([{ backgroundColor: FLASH }, {}], 2000);
}

function fill(element, name, words) {
  element.querySelector(`[data-show=${name}]`).textContent = words;
}

function add(lot) {
  const list = find("#lots");
  if (!list) return null;
  const card = find("#card").content.firstElementChild.cloneNode(true);
  card.dataset.lot = lot.id;
  card.querySelector("[data-link]").href = pageOf(lot.id);
  list.append(card);
  find("#none").hidden = true;
  return card;
}

function remove(id) {
  const element = find(`[data-lot="${id}"]`);
  if (element?.matches("li")) element.remove();
  else if (element) { element.dataset.state = "gone"; fill(element, "state", "gone"); find("#bid")?.remove(); find("#office")?.remove(); }
  if (find("#none")) find("#none").hidden = find("#lots").children.length > 0;
}

function notify(words, address, title) {
  const notice = document.createElement("p");
  const link = document.createElement("a");
  link.href = address;
  link.textContent = title;
  notice.className = "notice";
  notice.append(words, link);
  find("#notices").replaceChildren(notice);
}

// Prices and times

const pageOf = (id) => PAGE.replace("/0/", `/${id}/`);
const euros = (amount) => `€ ${amount.toLocaleString("en")}`;

function tick() {
  for (const time of document.querySelectorAll("time[data-show=closes]")) {
    const open = time.closest("[data-lot]").dataset.state === "open";
    const left = Math.round((new Date(time.dateTime) - Date.now()) / 1000);
    time.textContent = !open ? "" : left > 0 ? span(left) : "closing …";
    time.title = new Date(time.dateTime).toLocaleString();
    time.classList.toggle("soon", open && left < 600);
  }
}

function span(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days > 30) return `until ${new Date(Date.now() + seconds * 1000).toLocaleDateString()}`;
  if (days) return `${days} d ${hours % 24} h left`;
  if (hours) return `${hours} h ${minutes % 60} min left`;
  return minutes ? `${minutes} min ${String(seconds % 60).padStart(2, "0")} s left` : `${seconds} s left`;
}

// What goes: with Django's token, since the session's cookie goes with it

async function send(form, method, body) {
  const headers = { "content-type": "application/json", accept: "application/json", "x-csrftoken": form.elements.csrfmiddlewaretoken.value };
  const answer = await fetch(form.action, { method, headers, body: JSON.stringify(body) }).catch(() => null);
  if (!answer) throw new Error("The server does not answer. Is your bid there? Look at the price.");
  const given = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(given.errors?.[0]?.detail ?? given.detail ?? "This was refused.");
  return given;
}

find("#bid")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    show(await send(form, "POST", { amount: form.elements.amount.valueAsNumber }));
    form.reset();
    find("#answer").textContent = "";
  } catch (error) {
    find("#answer").textContent = error.message;
  }
});

find("#office")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const closes = new Date(find("time[data-show=closes]").dateTime);
  const change = event.submitter.name === "state" ? { state: "withdrawn" } : { closes: new Date(Math.max(closes, Date.now()) + 600000).toISOString() };
  try {
    show(await send(event.target, "PATCH", change));
  } catch (error) {
    find("#answer").textContent = error.message;
  }
});

tick();
setInterval(tick, 1000);
if (BY_EVENTS) connectEvents();
else connectSocket();
