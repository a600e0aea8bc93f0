// The page of an OpenAPI 3.1 document: what it says, and a form to call each operation.
//
// The law of this file: whatever comes from the document or from an answer becomes text or an attribute that is ours,
// never markup; a link only if it is http or https. References are followed when somebody opens them, so that a
// document that contains itself ends.

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
const SHOWN = 400_000; // characters of an answer that are put on the page
const MARKED = 150_000; // characters of JSON that are coloured
const settings = document.body.dataset;
const documentUrl = new URL(settings.document, location.href);
const rootUrl = new URL(settings.root, location.href);
const store = `api-docs ${documentUrl.href}`;
const state = { spec: {}, server: null, credentials: {}, remember: false, operations: new Map(), watchers: new Set() };
const byId = (id) => document.getElementById(id);

function el(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false && child !== ""));
  return element;
}

let lastId = 0;
const newId = () => `_${++lastId}`;

/** A <details> whose inside is made when it is opened for the first time. */
function folded(name, summary, make, attributes) {
  const details = el(`details.${name}`, attributes, el("summary", {}, summary));
  const fill = () => {
    if (details.open && details.childElementCount === 1) details.append(attempt(make));
  };
  details.addEventListener("toggle", fill);
  return Object.assign(details, { fill });
}

function opened(details, open) {
  details.open = open;
  if (open) details.fill();
  return details;
}

/** What a function makes of the document; what is wrong with the document stays in its place. */
function attempt(make) {
  try {
    return make();
  } catch (error) {
    return el("p.bad", {}, `The document is not as it should be here: ${error.message}`);
  }
}

function copyButton(element) {
  const button = el("button.quiet", { type: "button", click: copy }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(element.textContent);
    } catch {
      getSelection().selectAllChildren(element);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  return button;
}

function say(message) {
  byId("said").textContent = message;
}
