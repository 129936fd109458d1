// Lets pictures be looked at closely: what a curve says where the pointer is, and a part of it enlarged. The page says all it
// has to say without this.
"use strict";
(() => {
  const LEFT = 72, RIGHT = 456, TOP = 22, FOOT = 254, ZERO = 0.08;
  const SVG = "http://www.w3.org/2000/svg";

  const short = (value) => {
    if (value === 0) return "0";
    const digits = Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
    return String(Number(value.toFixed(digits)));
  };
  const written = (value, unit) => {
    if (unit === "percent") return short(value * 100) + " %";
    if (unit === "seconds") return short(value) + " s";
    if (unit === "bytes") {
      for (const [size, word] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
        if (Math.abs(value) >= size * 0.9995) return short(value / size) + " " + word;
      }
      return short(value) + " B";
    }
    return short(value);
  };

  // From values to shares of an axis and back.
  const axis = (text) => {
    const [scale, unit, low, high] = text.split(" ");
    const [from, to] = [Number(low), Number(high)];
    const decades = (value) => Math.log(value / from) / Math.log(to / from);
    const share = {
      linear: (value) => (value - from) / (to - from),
      names: (value) => (value - from) / (to - from),
      log: (value) => (value > 0 ? decades(value) : NaN),
      logzero: (value) => (value === 0 ? 0 : value > 0 ? ZERO + (1 - ZERO) * decades(value) : NaN),
    }[scale];
    const power = (at) => from * Math.pow(to / from, at);
    const value = {
      linear: (at) => from + at * (to - from),
      names: (at) => from + at * (to - from),
      log: power,
      logzero: (at) => (at < ZERO ? NaN : power((at - ZERO) / (1 - ZERO))),
    }[scale];
    return { scale, unit, share, value };
  };

  const linear = (low, high) => {
    const rough = (high - low) / 5, size = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * size).find((one) => one >= rough * 0.999) || rough;
    const all = [];
    for (let tick = Math.ceil(low / step - 1e-9); tick * step <= high + step * 1e-6 && all.length < 20; tick++) all.push(tick * step);
    return all;
  };
  const ticks = (of, low, high) => {
    if (!Number.isFinite(low) || !Number.isFinite(high)) return [];
    if (of.scale === "linear") return linear(low, high);
    if (of.scale === "names") return [];
    const all = [];
    const few = Math.log10(high / low) > 2.5 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const one of few) {
        const tick = Number(one + "e" + power);
        if (tick >= low && tick <= high) all.push(tick);
      }
    }
    return all.length > 1 ? all : linear(low, high).filter((tick) => tick > 0);
  };

  const parse = (link) => {
    const bytes = Uint8Array.from(atob(link.href.split("base64,")[1]), (one) => one.charCodeAt(0));
    const text = new TextDecoder().decode(bytes);
    const rows = [[""]];
    let quoted = false;
    for (let at = 0; at < text.length; at++) {
      const one = text[at], row = rows[rows.length - 1];
      if (quoted && one === '"' && text[at + 1] === '"') { row[row.length - 1] += '"'; at++; }
      else if (one === '"') quoted = !quoted;
      else if (!quoted && one === ",") row.push("");
      else if (!quoted && one === "\r") continue;
      else if (!quoted && one === "\n") rows.push([""]);
      else row[row.length - 1] += one;
    }
    return rows.slice(1).filter((row) => row.length > 4);
  };

  const make = (name, attributes, parent) => {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return parent.appendChild(element);
  };

  const enliven = (figure) => {
    const svg = figure.querySelector(":scope > svg"), plot = svg.querySelector(".plot");
    const link = figure.querySelector(".csv");
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    figure.append(tip);
    const tell = (event, text) => {
      tip.hidden = !text;
      if (!text) return;
      tip.textContent = text;
      const box = figure.getBoundingClientRect();
      const x = event.clientX - box.left, y = event.clientY - box.top;
      tip.style.left = Math.max(4, x > box.width / 2 ? x - tip.offsetWidth - 12 : x + 14) + "px";
      tip.style.top = Math.max(4, y - tip.offsetHeight - 10) + "px";
    };
    // What has a title of its own tells it at once.
    const own = (target) => {
      const title = target.closest && target.closest("svg") === svg && target.querySelector(":scope > title");
      return title && title.textContent;
    };
    if (!plot) {
      svg.addEventListener("pointermove", (event) => tell(event, own(event.target)));
      svg.addEventListener("pointerleave", () => tell(null, ""));
      return;
    }
    const horizontal = axis(figure.dataset.x), vertical = axis(figure.dataset.y);
    const boxes = [...figure.querySelectorAll(".legend input")];
    const series = [];
    for (const [name, x, y] of parse(link)) {
      let last = series[series.length - 1];
      if (!last || last.name !== name) series.push(last = { name, points: [], box: boxes[series.length] });
      last.points.push([horizontal.share(Number(x)), Number(y), Number(x)]);
    }
    // What is seen, as shares of both whole axes.
    let seen = [0, 1, 0, 1];
    const numbers = svg.querySelector(".numbers"), rest = svg.querySelector(".ticks"), first = rest.innerHTML;
    const back = document.createElement("button");
    back.className = "back";
    back.type = "button";
    back.textContent = "whole picture";
    back.hidden = true;
    figure.append(back);
    const cross = make("line", { class: "cross", y1: TOP, y2: FOOT, visibility: "hidden" }, svg);
    const show = () => {
      const [left, right, low, high] = seen;
      const whole = left === 0 && right === 1 && low === 0 && high === 1;
      const wide = 1 / (right - left), tall = 1 / (high - low);
      const shiftX = LEFT - wide * (LEFT + left * (RIGHT - LEFT));
      const shiftY = FOOT - tall * (FOOT - low * (FOOT - TOP));
      plot.setAttribute("transform", `matrix(${wide} 0 0 ${tall} ${shiftX} ${shiftY})`);
      numbers.setAttribute("visibility", whole ? "visible" : "hidden");
      back.hidden = whole;
      if (whole) { rest.innerHTML = first; return; }
      rest.replaceChildren();
      for (const tick of ticks(vertical, vertical.value(low), vertical.value(high))) {
        const y = FOOT - (vertical.share(tick) - low) * tall * (FOOT - TOP);
        make("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: y, y2: y }, rest);
        make("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, rest).textContent = written(tick, vertical.unit);
      }
      for (const tick of ticks(horizontal, horizontal.value(left), horizontal.value(right))) {
        const x = LEFT + (horizontal.share(tick) - left) * wide * (RIGHT - LEFT);
        make("line", { class: "grid", x1: x, x2: x, y1: TOP, y2: FOOT }, rest);
        make("text", { x, y: FOOT + 16, "text-anchor": "middle" }, rest).textContent = written(tick, horizontal.unit);
      }
    };
    const inside = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      return [Math.min(RIGHT, Math.max(LEFT, point.x)), Math.min(FOOT, Math.max(TOP, point.y)), point.x >= LEFT && point.x <= RIGHT && point.y >= TOP && point.y <= FOOT];
    };
    const share = (x) => seen[0] + ((x - LEFT) / (RIGHT - LEFT)) * (seen[1] - seen[0]);
    const height = (y) => seen[2] + ((FOOT - y) / (FOOT - TOP)) * (seen[3] - seen[2]);
    const read = (x) => {
      const at = share(x);
      const lines = [];
      for (const one of series) {
        if (one.box && !one.box.checked) continue;
        let found = null;
        for (const point of one.points) if (point[0] <= at + 1e-9 && (!found || point[0] >= found[0])) found = point;
        if (found) lines.push(one.name + ": " + written(found[1], vertical.unit));
      }
      return lines.length ? written(horizontal.value(at), horizontal.unit) + "\n" + lines.slice(0, 12).join("\n") : "";
    };
    const curves = plot.querySelector(".line") && horizontal.scale !== "names";
    let begun = null, box = null;
    svg.addEventListener("pointerdown", (event) => {
      const [x, y, within] = inside(event);
      if (!within || event.button !== 0 || horizontal.scale === "names") return;
      begun = [x, y];
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      const [x, y, within] = inside(event);
      if (begun) {
        box = box || make("rect", { class: "box" }, svg);
        const tall = Math.abs(y - begun[1]) > 20;
        box.setAttribute("x", Math.min(x, begun[0]));
        box.setAttribute("width", Math.abs(x - begun[0]));
        box.setAttribute("y", tall ? Math.min(y, begun[1]) : TOP);
        box.setAttribute("height", tall ? Math.abs(y - begun[1]) : FOOT - TOP);
        return;
      }
      const text = own(event.target) || (within && curves ? read(x) : "");
      cross.setAttribute("visibility", within && curves ? "visible" : "hidden");
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      tell(event, text);
    });
    const end = (event) => {
      if (!begun) return;
      const [x, y] = inside(event);
      const [from, down] = begun;
      begun = null;
      if (box) { box.remove(); box = null; }
      if (event.type === "pointercancel" || Math.abs(x - from) < 8) return;
      const tall = Math.abs(y - down) > 20;
      seen = [share(Math.min(x, from)), share(Math.max(x, from)), tall ? height(Math.max(y, down)) : seen[2], tall ? height(Math.min(y, down)) : seen[3]];
      show();
    };
    svg.addEventListener("pointerup", end);
    svg.addEventListener("pointercancel", end);
    svg.addEventListener("pointerleave", () => { tell(null, ""); cross.setAttribute("visibility", "hidden"); });
    const whole = () => { seen = [0, 1, 0, 1]; show(); };
    svg.addEventListener("dblclick", whole);
    back.addEventListener("click", whole);
  };

  document.querySelectorAll(".chart").forEach(enliven);
  document.documentElement.dataset.enlivened = "yes";
})();
