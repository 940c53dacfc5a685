"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("timeline"), canvas = box.querySelector("canvas");
  const tip = document.getElementById("tip"), pen = canvas.getContext("2d");
  const STEP = 7, ROW = 22, GAP = 5, TOP = 26, PARTS = ["busy", "starved", "blocked"];
  const FEW = 600;  // so few items: each has a colour of its own from the start
  let first = 0, last = Math.max(1, data.end);  // what is shown, in microseconds
  let inColors = data.items.length > 0 && data.items.length <= FEW;
  let colors = {}, width = 0, left = 0, tops = [];

  function layout() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["page", "card", "ink", "soft", "line", "busy", "starved", "blocked", "own", "start", "died"])
      colors[name] = style.getPropertyValue("--" + name).trim();
    width = box.clientWidth;
    pen.font = "12px system-ui, sans-serif";
    const longest = Math.max(...data.tracks.map((t) => pen.measureText(t.name).width), 0);
    left = Math.min(Math.ceil(longest) + 20, Math.max(70, width * 0.28));
    let y = TOP, segment = -1;
    tops = data.tracks.map((track) => {
      if (track.segment !== segment) { y += GAP; segment = track.segment; }
      y += ROW;
      return y - ROW;
    });
    const high = y + GAP + 4, scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(high * scale);
    canvas.style.height = high + "px";
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    draw();
  }

  const x = (time) => left + (time - first) * (width - left) / (last - first);
  const time = (at) => first + (at - left) * (last - first) / (width - left);

  function itemColor(item) {  // neighbours far apart: the golden angle
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return `hsl(${(item * 137.508) % 360} ${dark ? "52% 54%" : "58% 58%"})`;
  }

  function near(spans, when) {  // the first span that ends behind `when`
    let low = 0, high = spans.length / STEP;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (spans[middle * STEP] + spans[middle * STEP + 1] <= when) low = middle + 1; else high = middle;
    }
    return low;
  }

  function stack(at, top, wide, shares) {  // from below: busy, starved, blocked, MiniPipe itself
    const high = ROW - 4;
    let y = top + ROW - 2, rest = 1;
    [...shares, -1].forEach((share, part) => {
      const its = share < 0 ? rest : Math.min(rest, share);
      rest -= its;
      if (its * high < 0.2) return;
      pen.fillStyle = colors[part < 3 ? PARTS[part] : "own"];
      pen.fillRect(at, y - its * high, wide, its * high);
      y -= its * high;
    });
  }

  function drawTrack(track, top) {
    const spans = track.spans, until = Math.min(last, track.gone);
    if (track.born >= 0) {
      const started = spans.length ? spans[0] : track.gone;
      bar(track.born, started, top, colors.start);
    }
    let pixel = -1, sums = null;
    const flush = () => {  // all that was too short to be drawn by itself
      if (sums) stack(pixel, top, 1, sums.parts.map((part) => part / sums.all));
      sums = null;
    };
    for (let i = near(spans, first); i < spans.length / STEP; i++) {
      const [begin, lasted, busy, starved, blocked, calls, item] = spans.slice(i * STEP, i * STEP + STEP);
      if (begin > until) break;
      const from = Math.max(left, x(begin)), to = Math.min(width, x(begin + lasted));
      if (to - from < 1) {
        const its = Math.floor(from);
        if (its !== pixel || !sums) { flush(); pixel = its; sums = { all: 0, parts: [0, 0, 0] }; }
        sums.all += Math.max(1, lasted);
        [busy, starved, blocked].forEach((part, j) => { sums.parts[j] += part; });
        continue;
      }
      flush();
      const whole = [busy, starved, blocked].findIndex((part) => part >= 0.9 * lasted);
      if (whole < 0 || calls > 1) {
        stack(from, top, to - from, [busy, starved, blocked].map((part) => part / Math.max(1, lasted)));
        continue;
      }
      const isCall = whole === 0 && item > 0;
      pen.fillStyle = isCall && inColors ? itemColor(item) : colors[PARTS[whole]];
      const thin = whole === 0 ? 0 : 5;  // who waits is slimmer than who works
      const seam = to - from > 4 ? 0.8 : 0;
      pen.fillRect(from, top + 2 + thin, to - from - seam, ROW - 4 - 2 * thin);
      if (isCall && to - from > 16) {
        const number = data.items[item - 1].split(" ")[1];
        if (pen.measureText(number).width + 6 < to - from) {
          pen.fillStyle = "#fff";
          pen.textAlign = "center";
          pen.fillText(number, (from + to) / 2, top + ROW / 2 + 4);
          pen.textAlign = "left";
        }
      }
    }
    flush();
    if (track.end === "died" && track.gone >= first && track.gone <= last) {
      const at = x(track.gone), y = top + ROW / 2;
      pen.strokeStyle = colors.died;
      pen.lineWidth = 2.5;
      pen.beginPath();
      pen.moveTo(at - 5, y - 5); pen.lineTo(at + 5, y + 5); pen.moveTo(at + 5, y - 5); pen.lineTo(at - 5, y + 5);
      pen.stroke();
      pen.lineWidth = 1;
    }
  }

  function bar(begin, end, top, color) {
    const from = Math.max(left, x(begin)), to = Math.min(width, x(end));
    if (to <= from) return;
    pen.fillStyle = color;
    pen.fillRect(from, top + 2, to - from, ROW - 4);
  }

  function inWords(us, step) {
    if (step >= 1e6) return (us / 1e6).toFixed(0) + " s";
    if (step >= 1e3) return (last >= 1e6 ? (us / 1e6).toFixed(step >= 1e5 ? 1 : step >= 1e4 ? 2 : 3) + " s"
      : (us / 1e3).toFixed(0) + " ms");
    return (us / 1e3).toFixed(step >= 100 ? 1 : step >= 10 ? 2 : 3) + " ms";
  }

  function drawAxis(high) {
    const rough = (last - first) / Math.max(2, (width - left) / 90);
    const power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) || 10 * power;
    pen.fillStyle = colors.soft;
    pen.strokeStyle = colors.line;
    for (let t = Math.ceil(first / step) * step; t <= last; t += step) {
      const at = x(t);
      pen.beginPath(); pen.moveTo(at, TOP - 6); pen.lineTo(at, high); pen.stroke();
      const text = inWords(t, step);
      if (at + pen.measureText(text).width < width) pen.fillText(text, at + 3, TOP - 10);
    }
  }

  function draw() {
    const high = canvas.height / (window.devicePixelRatio || 1);
    pen.fillStyle = colors.card;
    pen.fillRect(0, 0, width, high);
    pen.font = "12px system-ui, sans-serif";
    drawAxis(high);
    data.tracks.forEach((track, i) => drawTrack(track, tops[i]));
    pen.fillStyle = colors.card;
    pen.fillRect(0, TOP, left, high);
    data.tracks.forEach((track, i) => {
      pen.fillStyle = colors.ink;
      let name = track.name;
      while (name.length > 2 && pen.measureText(name).width > left - 14) name = name.slice(0, -2) + "…";
      pen.fillText(name, 10, tops[i] + ROW / 2 + 4);
    });
    document.getElementById("colors").setAttribute("aria-pressed", String(inColors));
    box.dataset.first = first; box.dataset.last = last;  // for whoever tests it
  }

  let asked = false;
  function redraw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }

  function show(begin, end) {
    const whole = Math.max(1, data.end), lasts = Math.min(whole, Math.max(20, end - begin));
    first = Math.max(0, Math.min(whole - lasts, begin));
    last = first + lasts;
    redraw();
  }
  function zoom(factor, around = (first + last) / 2) {
    const lasts = Math.min(data.end, Math.max(20, (last - first) * factor));
    const share = (around - first) / (last - first);
    show(around - share * lasts, around + (1 - share) * lasts);
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const moved = (last - first) * event.deltaX / (width - left);
    if (sideways) show(first + moved, last + moved);
    else zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004), time(event.offsetX));
  }, { passive: false });

  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.offsetX);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) { hover(event); return; }
    tip.hidden = true;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, event.offsetX);
    const now = [...fingers.values()];
    if (now.length === 1) {
      const moved = (before[0] - now[0]) * (last - first) / (width - left);
      show(first + moved, last + moved);
    } else {
      const apart = (pair) => Math.max(8, Math.abs(pair[0] - pair[1]));
      zoom(apart(before) / apart(now), time((now[0] + now[1]) / 2));
    }
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("dblclick", () => show(0, data.end));

  function about(track, when) {
    const i = near(track.spans, when) * STEP, spans = track.spans;
    const pid = track.pid ? ` (pid ${track.pid})` : "";
    const lines = [track.name + pid];
    if (i < spans.length && spans[i] <= when) {
      const [begin, lasted, busy, starved, blocked, calls, item] = spans.slice(i, i + STEP);
      const parts = { busy, starved, blocked, "MiniPipe itself": lasted - busy - starved - blocked };
      if (item) lines.push(data.items[item - 1]);
      for (const [name, part] of Object.entries(parts))
        if (part > 0.005 * lasted) lines.push(part >= 0.9 * lasted ? name : `${name} ${Math.round(100 * part / lasted)} %`);
      if (calls > 1) lines.push(`${calls} calls`);
      lines.push(`${length(lasted)} from ${length(begin)} on`);
    } else if (track.born >= 0 && when >= track.born && when < (spans.length ? spans[0] : track.gone)) {
      lines.push("starts");
    } else if (when > track.gone || track.born > when) {
      lines.push(track.end === "died" && when > track.gone ? "died" : "is not there");
    } else lines.push("MiniPipe itself");
    return lines.join("\n");
  }
  const length = (us) => us >= 1e6 ? (us / 1e6).toFixed(2) + " s" : us >= 1e3 ? (us / 1e3).toFixed(2) + " ms" : us + " µs";

  function hover(event) {
    const row = tops.findIndex((top) => event.offsetY >= top && event.offsetY < top + ROW);
    tip.hidden = row < 0 || event.offsetX < left;
    if (tip.hidden) return;
    tip.textContent = about(data.tracks[row], time(event.offsetX));
    const right = event.offsetX > width - 220;
    tip.style.left = right ? "auto" : event.offsetX + 14 + "px";
    tip.style.right = right ? width - event.offsetX + 14 + "px" : "auto";
    const below = event.offsetY + 18, room = box.clientHeight - tip.offsetHeight - 4;
    tip.style.top = Math.max(2, Math.min(below, room)) + "px";
  }

  const toggle = () => { inColors = !inColors; redraw(); };
  document.getElementById("in").onclick = () => zoom(0.5);
  document.getElementById("out").onclick = () => zoom(2);
  document.getElementById("all").onclick = () => show(0, data.end);
  document.getElementById("colors").onclick = toggle;
  canvas.addEventListener("keydown", (event) => {
    const moved = (last - first) / 8;
    const act = {
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => show(0, data.end), c: toggle,
      ArrowLeft: () => show(first - moved, last - moved), ArrowRight: () => show(first + moved, last + moved),
    }[event.key];
    if (act) { act(); event.preventDefault(); }
  });
  new ResizeObserver(() => { if (box.clientWidth !== width) layout(); }).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layout);
  layout();
})();
