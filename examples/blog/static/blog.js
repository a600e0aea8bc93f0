// What the page can do without this: everything but more posts on the same page, the preview and the question before a delete.
"use strict";

document.addEventListener("click", async (event) => {
  const more = event.target.closest("#more");
  if (!more || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = new URL(more.href);
  address.searchParams.set("part", "posts");
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) return location.assign(more.href);
  const arrived = document.createElement("template");
  arrived.innerHTML = await answer.text();
  const articles = arrived.content.querySelectorAll("article");
  more.parentElement.remove();
  document.querySelector("#posts").append(arrived.content);
  document.querySelector("#news").textContent = `${articles.length} more`;
  articles[0]?.querySelector("a").focus();
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});

const say = document.querySelector("#say");
let waiting;
say?.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(preview, 300);
});

async function preview() {
  const place = document.querySelector("#preview");
  const body = new URLSearchParams(new FormData(say));
  const answer = body.get("text").trim() ? await fetch(say.dataset.preview, { method: "POST", body }).catch(() => null) : null;
  place.hidden = !answer?.ok;
  place.innerHTML = answer?.ok ? await answer.text() : "";
}

document.querySelector("input[data-limit]")?.addEventListener("change", ({ target }) => {
  const problem = target.files[0]?.size > Number(target.dataset.limit) ? "This picture is too large." : "";
  target.setCustomValidity(problem);
  document.querySelector(`#${target.id}-error`).textContent = problem;
});

document.querySelector("[aria-invalid=true]")?.focus();
