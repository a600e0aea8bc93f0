// One plot: lines over the past minute, in SVG, so that the style sheet colours them. It keeps nothing but where it is.

export const SPAN = 60; // seconds
const HEIGHT = 190;
const EDGE = { left: 40, right: 10, top: 8, bottom: 22 };

function make(name, attributes, parent, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

// Steps of 1, 2 or 5 times a power of ten, three to six of them.
function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step); tick * step <= high; tick += 1) found.push(Number((tick * step).toPrecision(6)));
  return found;
}

export class Plot {
  constructor(card, onPoint) {
    this.card = card;
    this.series = [...card.querySelectorAll("[data-series]")].map((row, index) => {
      row.classList.add(`line-${index}`);
      return { name: row.dataset.series, output: row.querySelector("output") };
    });
    this.svg = make("svg", { role: "img", tabindex: 0 }, card);
    this.svg.setAttribute("aria-label", `${card.querySelector("h2").textContent}, the past minute`);
    this.svg.addEventListener("pointermove", (event) => onPoint(this.ageAt(event)));
    this.svg.addEventListener("pointerleave", () => onPoint(null));
    this.svg.addEventListener("blur", () => onPoint(null));
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      onPoint((age) => Math.min(SPAN, Math.max(0, (age ?? 0) + step)));
    });
  }

  ageAt(event) {
    const box = this.svg.getBoundingClientRect();
    const inner = box.width - EDGE.left - EDGE.right;
    return Math.min(SPAN, Math.max(0, (1 - (event.clientX - box.left - EDGE.left) / inner) * SPAN));
  }

  // `points` are in the order of their time; `breaks` are the times from and to which nothing is known.
  draw(points, breaks, now, age) {
    const width = Math.max(this.svg.clientWidth, 120);
    const right = width - EDGE.right;
    const bottom = HEIGHT - EDGE.bottom;
    const [low, high] = this.range(points);
    const x = (time) => right - ((now - time) / SPAN) * (right - EDGE.left);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - EDGE.top);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren();
    this.drawGrid(width, low, high, y);
    for (const { from, to } of breaks) this.drawBreak(Math.max(EDGE.left, x(from)), x(to), bottom);
    for (const [index, { name }] of this.series.entries()) {
      const d = path(points, name, x, y);
      make("path", { d, class: `line line-${index}`, "data-line": name }, this.svg);
    }
    const shown = age === null ? points.at(-1) : nearest(points, now - age);
    if (shown) this.drawPoint(shown, age !== null, x, y, bottom);
    this.showValues(shown);
    this.svg.dataset.points = points.length;
  }

  range(points) {
    if (this.card.dataset.to) return [Number(this.card.dataset.from), Number(this.card.dataset.to)];
    const values = points.flatMap((point) => this.series.map(({ name }) => point.values[name])).filter(Number.isFinite);
    if (values.length === 0) return [0, 1];
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = Math.max((high - low) * 0.12, 0.5);
    return [low - room, high + room];
  }

  drawGrid(width, low, high, y) {
    const unit = this.card.dataset.unit;
    for (const tick of ticks(low, high)) {
      make("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(tick), y2: y(tick), class: "grid" }, this.svg);
      make("text", { x: EDGE.left - 8, y: y(tick) + 4, class: "tick end" }, this.svg, `${tick}${unit === " °C" ? "°" : ""}`);
    }
    const step = width < 420 ? 30 : 15;
    for (let age = SPAN; age >= 0; age -= step) {
      const at = width - EDGE.right - (age / SPAN) * (width - EDGE.left - EDGE.right);
      const side = age === 0 ? "end" : age === SPAN ? "" : "middle";
      make("text", { x: at, y: HEIGHT - 4, class: `tick ${side}` }, this.svg, age ? `${age} s ago` : "now");
    }
  }

  drawBreak(from, to, bottom) {
    if (to - from < 1) return;
    make("rect", { x: from, y: EDGE.top, width: to - from, height: bottom - EDGE.top, class: "break" }, this.svg);
    if (to - from > 60) make("text", { x: (from + to) / 2, y: EDGE.top + 18, class: "tick middle" }, this.svg, "nothing known");
  }

  drawPoint(point, pointed, x, y, bottom) {
    const at = x(point.time);
    if (at < EDGE.left) return;
    if (pointed) make("line", { x1: at, x2: at, y1: EDGE.top, y2: bottom, class: "cursor" }, this.svg);
    for (const [index, { name }] of this.series.entries()) {
      const value = point.values[name];
      if (Number.isFinite(value)) make("circle", { cx: at, cy: y(value), r: 4, class: `dot line-${index}` }, this.svg);
    }
  }

  showValues(point) {
    for (const { name, output } of this.series) {
      const value = point?.values[name];
      const digits = Number(this.card.dataset.digits);
      output.textContent = Number.isFinite(value) ? value.toFixed(digits) + this.card.dataset.unit : "–";
    }
  }
}

function nearest(points, time) {
  return points.reduce((best, one) => (Math.abs(one.time - time) < Math.abs((best?.time ?? -1e12) - time) ? one : best), null);
}

function path(points, name, x, y) {
  let pen = "M";
  let text = "";
  for (const point of points) {
    if (point.first) pen = "M";
    const value = point.values[name];
    if (!Number.isFinite(value)) continue;
    text += `${pen}${x(point.time).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  }
  return text;
}
