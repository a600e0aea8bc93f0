// What the page can do without this: everything but live entries, upload progress and times of the visitor's zone.
"use strict";

const find = (selector) => document.querySelector(selector);

function localiseTimes(root) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
  for (const time of root.querySelectorAll("time")) time.textContent = format.format(new Date(time.dateTime));
}

// Live entries. The server sends what came after the newest entry here, so nothing is missed by a lost connection.
let pause = 1000;
let listening = false;

function listen() {
  const list = find("#entries");
  listening = Boolean(list?.dataset.live);
  if (!listening) return;
  const address = new URL(list.dataset.live, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.search = Number(list.dataset.last) ? `?after=${list.dataset.last}` : "";
  const socket = new WebSocket(address);
  socket.onopen = () => { pause = 1000; showLive("Live"); };
  socket.onmessage = (event) => addEntry(JSON.parse(event.data));
  socket.onclose = () => {
    showLive("Reconnecting …");
    setTimeout(listen, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, 30000);
  };
}

function showLive(text) {
  const live = find("#live");
  live.hidden = false;
  live.textContent = text;
  live.classList.toggle("on", text === "Live");
}

function addEntry({ id, name, html }) {
  const list = find("#entries");
  if (!list || document.getElementById(`entry-${id}`)) return;
  list.insertAdjacentHTML("afterbegin", html);
  list.dataset.last = Math.max(id, Number(list.dataset.last));
  list.firstElementChild.classList.add("new");
  localiseTimes(list.firstElementChild);
  find("#news").textContent = `New entry by ${name}`;
}

// The form, sent in the background so that the upload's progress can be shown.
function send(event) {
  event.preventDefault();
  const form = event.target;
  const file = form.picture.files[0];
  if (file && file.size > Number(form.picture.dataset.limit)) {
    return showProblem(form.picture, "This picture is too large.");
  }
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "text/html");
  request.responseType = "document";
  if (file) request.upload.onprogress = ({ loaded, total }) => showProgress(Math.round((loaded / total) * 100));
  request.onload = () => showAnswer(form, request);
  request.onerror = () => showProblem(form.text, "The connection was lost. Your text is still here: please try again.");
  request.onloadend = () => { form.querySelector("button").disabled = false; find("#upload")?.setAttribute("hidden", ""); };
  form.querySelector("button").disabled = true;
  request.send(new FormData(form));
}

function showProgress(percent) {
  find("#upload").hidden = false;
  find("#upload progress").value = percent;
  find("#upload-text").textContent = percent < 100 ? `Sending the picture: ${percent} %` : "Nearly there …";
}

function showProblem(field, text) {
  field.setAttribute("aria-invalid", "true");
  document.getElementById(`${field.name}-error`).textContent = text;
  field.focus();
}

function showAnswer(form, request) {
  if (request.status !== 200 && request.status !== 422) {
    return showProblem(form.text, request.response?.querySelector("main h1 + p")?.textContent ?? "That did not work.");
  }
  find("main").replaceWith(request.response.querySelector("main"));
  prepare();
  const invalid = find("[aria-invalid=true]");
  if (invalid) return invalid.focus();
  location.replace(new URL(`#entry-${find("#entries").dataset.last}`, form.action));
}

function prepare() {
  localiseTimes(document);
  find("form")?.addEventListener("submit", send);
  if (!listening) listen();
}

prepare();
