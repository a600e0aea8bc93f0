// The feed and its state. The browser's EventSource connects again by itself and says what it has seen last, so the
// server sends what was missed; "gap" says that it cannot.
import { Plot, SPAN } from "./plot.js";

const SILENCE = 3; // seconds without a figure after which nothing is known
const find = (id) => document.getElementById(id);

const points = []; // { time, values, first }: `first` begins a new line
let last = null; // the last message
let received = 0;
let missed = 0;
let gap = false; // the next figure comes after a gap
let ahead = -Infinity; // how far the server's clock is ahead of this one
let age = null; // where the reader points, in seconds before now
let pause = 1000;

function take(message) {
  const sameFeed = last?.feed === message.feed;
  if (sameFeed && message.number <= last.number) return; // seen before
  if (sameFeed && message.number > last.number + 1) missed += message.number - last.number - 1;
  const skipped = last !== null && message.time - last.time > SILENCE;
  points.push({ time: message.time, values: message.values, first: gap || skipped });
  [gap, last] = [false, message];
  received += 1;
  ahead = Math.max(ahead, message.time - Date.now() / 1000);
}

function connect() {
  const source = new EventSource("events");
  source.onopen = () => { pause = 1000; show("live", "Live"); };
  source.onmessage = (event) => { take(JSON.parse(event.data)); plan(); };
  source.addEventListener("gap", () => { gap = last !== null; });
  source.onerror = () => {
    show("away", "Reconnecting …");
    if (source.readyState !== EventSource.CLOSED) return; // it tries again itself
    setTimeout(connect, pause); // it was refused for good, by a proxy's 502 say
    pause = Math.min(pause * 2, 30000);
  };
}

function show(state, text) {
  const element = find("state");
  if (element.dataset.state === state && element.textContent === text) return;
  element.dataset.state = state;
  element.textContent = text;
}

function now() {
  return last ? Date.now() / 1000 + ahead : 0;
}

function breaks(at) {
  const found = [];
  for (const [index, point] of points.entries()) {
    if (point.first && index) found.push({ from: points[index - 1].time, to: point.time });
  }
  if (last && at - last.time > SILENCE) found.push({ from: last.time, to: at });
  return found;
}

const plots = [...document.querySelectorAll("[data-plot]")].map((card) => new Plot(card, (where) => {
  age = typeof where === "function" ? where(age) : where;
  plan();
}));

function draw() {
  planned = false;
  const at = now();
  while (points.length && points[0].time < at - SPAN - 5) points.shift();
  const visible = points.filter((point) => point.time >= at - SPAN);
  const unknown = breaks(at);
  for (const plot of plots) plot.draw(visible, unknown, at, age);
  find("viewers").textContent = last ? last.viewers : "–";
  find("received").textContent = received;
  find("missed").textContent = missed;
  if (find("state").dataset.state === "live" && last && at - last.time > SILENCE) show("silent", "Connected, but nothing comes");
  if (find("state").dataset.state === "silent" && at - last.time < SILENCE) show("live", "Live");
}

let planned = false;
function plan() {
  if (!planned) requestAnimationFrame(draw);
  planned = true;
}

connect();
setInterval(plan, 500); // time goes on, also where nothing comes
new ResizeObserver(plan).observe(document.body);
