// The room's page: one socket, opened again and again; what was said appears once, what was typed is sent until it does.
"use strict";

const FIRST_PAUSE = 500, LONGEST_PAUSE = 30000, STEADY = 5000, SILENCE = 50000, ECHO = 10000, MOST_SHOWN = 500;
const ASK_AGAIN = 4000; // a close code of our own
const find = (selector) => document.querySelector(selector);
const log = find("#log"), pending = find("#pending"), scroll = find("#scroll"), text = find("#text");
const me = log.dataset.me, title = document.title;
const seen = new Set(); // the messages that are shown, by who and key
const outbox = []; // what was typed and has not come back from the room yet

let socket, last, retry, silence, calm, echo, why;
let pause = FIRST_PAUSE, opened = 0, unread = 0, answered = false;

// The connection

function connect() {
  clearTimeout(retry);
  if (socket?.readyState <= WebSocket.OPEN) return; // one is enough
  find("#retry").hidden = true;
  const address = new URL(log.dataset.live, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (last) address.searchParams.set("since", last);
  log.parentElement.ariaBusy = "true"; // until what was missed has been shown, so that nobody is read the whole history
  socket = new WebSocket(address);
  socket.onopen = () => { opened = Date.now(); showState("Connected", "on"); listen(); sendNext(); };
  socket.onmessage = (event) => { listen(); take(JSON.parse(event.data)); };
  socket.onclose = (event) => { if (event.target === socket) lose(event.code); };
}

// The server says something every 20 seconds. If it does not, the line is dead, though nobody has said so.
function listen() {
  clearTimeout(silence);
  silence = setTimeout(() => { const dead = socket; socket = undefined; dead.close(); lose(1006); }, SILENCE);
  clearTimeout(calm);
  calm = setTimeout(() => { log.parentElement.ariaBusy = "false"; }, 300);
}

function lose(code) {
  clearTimeout(silence);
  clearTimeout(echo);
  if (opened || code !== 1006) why = code; // else it is still for the reason of before
  if (opened && Date.now() - opened > STEADY) pause = FIRST_PAUSE;
  opened = 0;
  answered = false;
  const least = code === 1008 ? 5000 : 0; // too much at once: the server wants a rest
  const wait = code === ASK_AGAIN ? 200 : Math.max(least, pause * (0.5 + Math.random()));
  if (code !== ASK_AGAIN) pause = Math.min(pause * 2, LONGEST_PAUSE);
  if (code === 1007 || code === 1009) refuse();
  showState(reason(why), "off");
  find("#retry").hidden = false;
  retry = setTimeout(connect, wait);
  mark();
}

function reason(code) {
  if (code === 1012) return "The server restarts. Back in a moment …";
  if (code === 1008) return "That was too much at once. A short pause …";
  if (code === 1013 || code === ASK_AGAIN) return "Catching up …";
  return navigator.onLine ? "Connection lost. Trying again …" : "You are offline. Waiting …";
}

function showState(words, kind) {
  find("#state").textContent = words;
  find("#state").className = kind;
}

addEventListener("online", () => { if (!opened) connect(); });
find("#retry").onclick = () => { connect(); text.focus(); };

// What comes

function take(message) {
  if (message.type === "message") addMessage(message);
  else if (message.type === "people") showPeople(message.people);
  else if (message.type === "gap") fillGap();
}

function addMessage(message) {
  last = message.id;
  answered = true;
  const name = `${message.by} ${message.key}`;
  if (message.by === me) settle(message.key);
  if (seen.has(name)) return;
  seen.add(name);
  append(makeMessage(message, name));
  if (document.hidden && message.by !== me) document.title = `(${++unread}) ${title}`;
}

function makeMessage({ by, name, text, at }, id) {
  const item = make("li", "message");
  item.dataset.name = id;
  item.dataset.by = by;
  const before = log.lastElementChild;
  const when = new Date(at);
  item.dataset.at = when.getTime();
  item.classList.toggle("mine", by === me);
  item.classList.toggle("more", before?.dataset.by === by && when - before.dataset.at < 300000);
  const head = make("p", "head");
  head.append(make("bdi", "name", name), make("span", "tag", `#${by.slice(0, 4)}`), makeTime(when));
  item.append(makeFace(by, name), head, makeText(text));
  return item;
}

function makeText(words) {
  const paragraph = make("p", "text", words);
  paragraph.dir = "auto";
  return paragraph;
}

function makeFace(by, name) {
  const face = make("span", `face colour-${parseInt(by.slice(0, 6), 16) % 6}`, [...name][0].toUpperCase());
  face.ariaHidden = "true";
  return face;
}

function makeTime(when) {
  const time = make("time", "", when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = when.toISOString();
  time.title = when.toLocaleString();
  return time;
}

function make(tag, kind, words = "") {
  const element = document.createElement(tag);
  element.className = kind;
  element.textContent = words; // never HTML: whatever anybody wrote stays text
  return element;
}

// At the beginning it is the answer to `since`: that is not kept any more. Later the line behind the server was broken: ask.
function fillGap() {
  if (answered || Date.now() - opened > 1000) return socket.close(ASK_AGAIN);
  answered = true;
  if (!log.children.length || log.lastElementChild.className === "gap") return;
  append(make("li", "gap", "Some messages may be missing here: the connection was away for too long."));
}

function append(item) {
  const near = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  log.append(item);
  find("#empty").hidden = true;
  while (log.children.length > MOST_SHOWN) {
    seen.delete(log.firstElementChild.dataset.name);
    log.firstElementChild.remove();
  }
  if (near || item.dataset.by === me) toEnd();
  else find("#newer").hidden = false;
}

function toEnd() {
  scroll.scrollTop = scroll.scrollHeight;
  find("#newer").hidden = true;
}

find("#newer").onclick = () => { toEnd(); text.focus(); };
scroll.onscroll = () => { if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80) find("#newer").hidden = true; };
document.onvisibilitychange = () => { unread = 0; document.title = title; };

function showPeople(people) {
  find("#count").textContent = people.length;
  find("#people").replaceChildren(...people.map(({ by, name }) => {
    const item = make("li", "");
    item.append(makeFace(by, name), make("bdi", "name", name), make("span", "tag", by === me ? "you" : `#${by.slice(0, 4)}`));
    return item;
  }));
}

// What goes: one message at a time, and again over the next connection if it has not come back. The key lets the room show it once.

function say() {
  const words = text.value.trim();
  if (!words) return;
  const key = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("");
  const item = make("li", "message mine pending");
  item.append(makeText(words));
  pending.append(item);
  outbox.push({ key, words, item });
  text.value = "";
  find("#empty").hidden = true;
  grow();
  sendNext();
  toEnd();
}

function sendNext() {
  mark();
  if (socket?.readyState !== WebSocket.OPEN || !outbox.length || outbox[0].socket === socket) return;
  outbox[0].socket = socket;
  clearTimeout(echo);
  echo = setTimeout(() => socket.close(ASK_AGAIN), ECHO); // if it has been said, it is in the history
  socket.send(JSON.stringify({ key: outbox[0].key, text: outbox[0].words }));
}

function settle(key) {
  const index = outbox.findIndex((one) => one.key === key);
  if (index < 0) return;
  outbox.splice(index, 1)[0].item.remove();
  clearTimeout(echo);
  sendNext();
}

// The server cannot read it: to send it again would be answered the same.
function refuse() {
  const item = outbox.shift()?.item;
  item?.append(make("p", "refused", "This could not be sent."));
  item?.classList.replace("pending", "failed");
}

function mark() {
  pending.classList.toggle("waiting", !opened && outbox.length > 0);
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

find("#say").onsubmit = (event) => { event.preventDefault(); say(); text.focus(); };
text.oninput = grow;
text.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
};

connect();
