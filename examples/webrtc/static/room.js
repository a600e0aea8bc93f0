// The page: who is there, what is seen, what is said.
import { Call } from "./call.js";
import { Signals } from "./signals.js";

const find = (id) => document.getElementById(id);
const STATES = {
  start: "One moment …",
  alone: "Waiting for the other one",
  calling: "Connecting …",
  connected: "Connected",
  away: "The server is away",
  full: "This room is full",
  left: "You have left",
};

let call = null;
let ice = [];
let media = null;
let signals = null;

function show(state) {
  find("state").dataset.state = state;
  find("state").textContent = STATES[state];
  const hints = { alone: `Send this page's address to somebody: ${location.href}`, full: "Two are in it already." };
  find("hint").textContent = hints[state] ?? "";
}

function begin({ call: number, polite }) {
  end();
  show("calling");
  document.body.dataset.calls = Number(document.body.dataset.calls ?? 0) + 1;
  call = new Call({
    number, polite, ice, media,
    send: (signal) => signals.send(signal),
    onTrack: (stream) => { find("theirs").srcObject = stream; },
    onText: (text) => write(text, "theirs"),
    onState: (state) => show(state === "connected" ? "connected" : "calling"),
    onChannel: allowChat,
  });
}

function end() {
  call?.close();
  call = null;
  find("theirs").srcObject = null;
  allowChat(false);
}

function take(message) {
  if (message.type === "welcome") {
    ice = message.ice;
    if (!call) show("alone");
  }
  if (message.type === "call") begin(message);
  if (message.type === "left") {
    end();
    show("alone");
    write("The other one has left.", "note");
  }
  if (message.type === "signal" && message.call === call?.number) call.take(message).catch(console.error);
}

function lost() {
  if (call?.connection.connectionState !== "connected") show("away"); // a call goes on without the server
}

function allowChat(open) {
  for (const element of find("say").elements) element.disabled = !open;
}

function write(text, kind) {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  find("log").append(line);
  line.scrollIntoView({ block: "nearest" });
}

function leave() {
  signals?.close();
  end();
  for (const track of media?.getTracks() ?? []) track.stop();
  find("mine").hidden = true;
  find("leave").hidden = true;
  show("left");
}

// A switch for one kind of track; it is hidden where there is none.
function makeSwitch(button, tracks) {
  button.hidden = tracks.length === 0;
  button.onclick = () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    for (const track of tracks) track.enabled = on;
  };
}

// What the visitor has and allows: both, one of them, or nothing; then there is the chat.
async function openMedia() {
  for (const wish of [{ audio: true, video: true }, { audio: true }, { video: true }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(wish);
    } catch { /* the next one asks for less */ }
  }
  return null;
}

find("say").onsubmit = (event) => {
  event.preventDefault();
  const text = find("text").value.trim();
  if (!text || !call) return;
  call.say(text);
  write(text, "mine");
  find("text").value = "";
};
find("leave").onclick = leave;

media = await openMedia();
if (media) {
  find("mine").srcObject = media;
  find("mine").hidden = media.getVideoTracks().length === 0;
}
makeSwitch(find("microphone"), media?.getAudioTracks() ?? []);
makeSwitch(find("camera"), media?.getVideoTracks() ?? []);

const address = new URL(`${location.pathname}/signals`, location.href);
address.protocol = address.protocol.replace("http", "ws");
signals = new Signals(address, { onMessage: take, onLost: lost, onFull: () => show("full") });
