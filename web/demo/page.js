// SPDX-License-Identifier: MIT
// A page for a network whose input is an image: page.json says what it is called, what its classes are, how pixels are
// scaled, and whether one draws or chooses a picture.
import { load } from "./convpool.js";

const at = (id) => document.getElementById(id);
const pad = at("pad"), seen = at("seen");
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const PEN = 1.3, SOFT = 1.4; // the pen's radius and its soft edge, in the network's pixels
const SHARP = 12; // dots of the pad to such a pixel
const MOST = 12; // bars

let net, first, plan; // the network, what of it ends with its first layer, and what page.json says of it
let kernels, mapShape; // what runs, in words, and what the latter gives: channels, height, width
let shape; // of its image: {channels, height, width, last}, where `last` is whether channels come last
let grey, picture; // what was drawn, 0 to 255, or a picture's pixels, red, green, blue and alpha
let strokes = []; // of points [x, y] in pixels of the network
let input;

/* ---- Networks ---- */

// Its image, if that is one, grey or coloured.
function imageShape({ inputShape, layout }) {
  const last = layout === "HWC", [height, width] = inputShape.slice(last ? 0 : 1), channels = inputShape[last ? 2 : 0];
  return inputShape.length === 3 && [1, 3].includes(channels) ? { channels, height, width, last } : undefined;
}

async function open(bytes, config) {
  net = await load(bytes);
  const stages = net.stages(), count = stages.findIndex(({ kind }) => kind === "layer") + 1 || 1;
  first = await load(bytes, { stages: count });
  kernels = [...new Set(stages.map(({ kernel }) => kernel).filter(Boolean))].join(", ");
  mapShape = stages[count - 1].outputShape;
  plan = { title: "A trained network", text: "", classes: [], scale: [1 / 255], offset: [0], ...config };
  shape = imageShape(net);
  plan.draw ??= shape?.channels === 1 && shape.height <= 64 && shape.width <= 64;
  at("title").textContent = document.title = plan.title;
  at("text").textContent = plan.text;
  at("drawing").hidden = at("pad-help").hidden = !plan.draw || !shape;
  at("picture").hidden = !shape;
  at("stages").replaceChildren(...stages.map(({ name, kind, outputShape, kernel }) => {
    const row = document.createElement("tr");
    row.append(...[name ? `${name}: ${kind}` : kind, outputShape.join("x"), kernel || "-"].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text.replace("_", " ");
      return cell;
    }));
    return row;
  }));
  at("bars").replaceChildren();
  at("maps").replaceChildren();
  at("answer").textContent = at("said").textContent = at("time").textContent = "";
  if (!shape) {
    at("answer").textContent = `Its input is no grey or coloured image, but ${net.inputShape.join("x")}.`;
    return;
  }
  input = new Float32Array(shape.channels * shape.height * shape.width);
  document.documentElement.style.setProperty("--ratio", `${shape.width} / ${shape.height}`);
  seen.setAttribute("aria-label", `The image, ${shape.width}x${shape.height} pixels`);
  pad.width = shape.width * SHARP, pad.height = shape.height * SHARP;
  seen.width = shape.width, seen.height = shape.height;
  clear();
}

/* ---- Images ---- */

// Pixels as the network wants them, from `color(pixel, channel)`, 0 to 255; and as they are seen.
function fill(color) {
  const { channels, height, width, last } = shape, pixels = height * width, shown = new ImageData(width, height);
  const of = (numbers, c) => numbers[c % numbers.length];
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < channels; c++)
      input[last ? i * channels + c : c * pixels + i] = color(i, c) * of(plan.scale, c) + of(plan.offset, c);
    for (let c = 0; c < 3; c++) shown.data[4 * i + c] = color(i, channels === 1 ? 0 : c);
    shown.data[4 * i + 3] = 255;
  }
  seen.getContext("2d").putImageData(shown, 0, 0);
}

function fromPicture(i, c) {
  const [r, g, b] = picture.subarray(4 * i, 4 * i + 3);
  return shape.channels === 3 ? [r, g, b][c] : 0.299 * r + 0.587 * g + 0.114 * b;
}

async function choose(file) {
  const bitmap = await createImageBitmap(file), { width, height } = shape;
  const canvas = Object.assign(document.createElement("canvas"), { width, height }), context = canvas.getContext("2d");
  const scale = plan.fit === "stretch" ? 0 : Math.max(width / bitmap.width, height / bitmap.height); // else its middle
  const w = scale ? width / scale : bitmap.width, h = scale ? height / scale : bitmap.height;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - h) / 2, w, h, 0, 0, width, height);
  strokes = [], picture = context.getImageData(0, 0, width, height).data;
  draw();
  run(true);
}

/* ---- Drawing ---- */

// Adds the ink of a line: as dark as it is near, softer at its edge.
function ink([ax, ay], [bx, by]) {
  const { width, height } = shape, reach = PEN + SOFT;
  const near = (a, b, extent) => [Math.min(a, b) - reach, Math.max(a, b) + reach].map((x) => clamp(Math.floor(x), 0, extent - 1));
  const [left, right] = near(ax, bx, width), [top, bottom] = near(ay, by, height);
  const length = (bx - ax) ** 2 + (by - ay) ** 2 || 1;
  for (let y = top; y <= bottom; y++)
    for (let x = left; x <= right; x++) {
      const dx = x + 0.5 - ax, dy = y + 0.5 - ay;
      const along = clamp((dx * (bx - ax) + dy * (by - ay)) / length, 0, 1);
      const distance = Math.hypot(dx - along * (bx - ax), dy - along * (by - ay)), i = y * width + x;
      grey[i] = Math.max(grey[i], 255 * clamp((PEN - distance) / SOFT + 0.5, 0, 1));
    }
}

function addPoint(point) {
  const stroke = strokes.at(-1);
  stroke.push(point);
  ink(stroke.at(-2) ?? point, point);
  changed();
}

// All strokes on the pad, and where the keyboard's pen is.
function draw() {
  const context = pad.getContext("2d");
  context.setTransform(SHARP, 0, 0, SHARP, 0, 0);
  context.clearRect(0, 0, shape.width, shape.height);
  Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: 2 * PEN, strokeStyle: "#fff" });
  for (const [start, ...rest] of strokes) {
    context.beginPath();
    context.moveTo(...start);
    for (const point of [start, ...rest]) context.lineTo(...point);
    context.stroke();
  }
  if (document.activeElement !== pad || !pen.shown) return;
  Object.assign(context, { lineWidth: 0.2, strokeStyle: pen.down ? "#f90" : "#6ea3ff" });
  context.strokeRect(pen.at[0] - 1, pen.at[1] - 1, 2, 2);
}

function again() {
  grey = new Float32Array(shape.height * shape.width);
  picture = undefined;
  for (const stroke of strokes) stroke.forEach((point, i) => ink(stroke[Math.max(i - 1, 0)], point));
  draw();
  run(true);
}
function clear() {
  strokes = [];
  pen.down = false;
  again();
}
function undo() {
  strokes.pop();
  pen.down = false;
  again();
}

const pen = { at: [8, 8], down: false, shown: false }; // the keyboard's

function onKey(event) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const way = ways[event.key];
  pen.shown = true;
  if (way) {
    pen.at = [clamp(pen.at[0] + way[0], 0, shape.width), clamp(pen.at[1] + way[1], 0, shape.height)];
    if (pen.down) addPoint([...pen.at]);
  } else if (event.key === " ") {
    pen.down = !pen.down;
    if (pen.down) begin([...pen.at]);
    else run(true);
  } else if (event.key === "Delete" || event.key === "Backspace") clear();
  else return;
  event.preventDefault();
  draw();
}

function begin(point) {
  if (picture) clear();
  strokes.push([]);
  addPoint(point);
}

const place = (event) => {
  const box = pad.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * shape.width, ((event.clientY - box.top) / box.height) * shape.height];
};

let waiting = false; // a run for what was drawn since the last
function changed() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
    run(false);
  });
}

/* ---- Running, and what is shown of it ---- */

// Runs the network; `done` where the drawing has come to rest, which is said aloud.
function run(done) {
  if (!shape) return;
  fill(picture ? fromPicture : (i) => grey[i]);
  const start = performance.now(), empty = !picture && strokes.length === 0;
  let out, runs = 0, took = 0; // again and again, for clocks are coarse
  for (; runs === 0 || (took < 2 && runs < 200); took = performance.now() - start, runs++) out = net.run(input, out);
  showResult(out, empty, done);
  at("time").textContent = `A run takes ${((took / runs) * 1000).toFixed(0)} \u00b5s, by ${kernels}.`;
  showMaps(first.run(input));
}

function showResult(out, empty, done) {
  const shares = out.every((y) => y >= 0 && y <= 1), largest = Math.max(...out.map(Math.abs), 1e-30);
  const words = (y) => (shares ? `${(100 * y).toFixed(1)} %` : y.toPrecision(3));
  const rows = Array.from(out, (y, i) => ({ y, name: plan.classes[i] ?? String(i) }));
  const best = rows.reduce((a, b) => (b.y > a.y ? b : a));
  const listed = rows.length <= MOST ? rows : [...rows].sort((a, b) => b.y - a.y).slice(0, MOST);
  const list = at("bars");
  while (list.children.length > listed.length) list.lastChild.remove();
  while (list.children.length < listed.length) {
    const item = document.createElement("li");
    for (const part of ["name", "bar", "value"]) item.appendChild(document.createElement("span")).className = part;
    list.append(item);
  }
  list.className = listed.every(({ name }) => name.length < 3) ? "short" : "";
  listed.forEach((row, i) => {
    const item = list.children[i], [name, bar, value] = item.children;
    item.className = row === best && !empty ? "first" : "";
    name.textContent = row.name;
    bar.style.setProperty("--share", empty ? 0 : Math.max(shares ? row.y : row.y / largest, 0));
    value.textContent = empty ? "" : words(row.y);
  });
  const text = empty ? "" : rows.length > 1 ? `${best.name}, ${words(best.y)}` : words(best.y);
  at("answer").textContent = text;
  if (done) at("said").textContent = text;
}

function showMaps(out) {
  const [channels, height, width] = mapShape, maps = at("maps"), last = first.outputShape.join() !== mapShape.join();
  const [low, high] = out.reduce(([a, b], y) => [Math.min(a, y), Math.max(b, y)], [0, 1e-30]);
  while (maps.children.length > channels) maps.lastChild.remove();
  while (maps.children.length < channels) maps.append(document.createElement("canvas"));
  maps.setAttribute("aria-label", `${channels} pictures of ${width}x${height} pixels, one for each channel`);
  for (let c = 0; c < channels; c++) {
    const canvas = maps.children[c], image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const y = out[last ? i * channels + c : c * width * height + i];
      image.data.fill((255 * (y - low)) / (high - low), 4 * i, 4 * i + 3);
      image.data[4 * i + 3] = 255;
    }
    canvas.width = width, canvas.height = height;
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

/* ---- The page ---- */

function tell(error) {
  at("trouble").hidden = !error;
  at("trouble").textContent = error?.message ?? "";
}
const trying = (action) => async (...given) => {
  try {
    tell();
    await action(...given);
  } catch (error) {
    tell(error);
  }
};

pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  pad.setPointerCapture(event.pointerId);
  pen.shown = false;
  begin(place(event));
});
pad.addEventListener("pointermove", (event) => {
  if (!pad.hasPointerCapture(event.pointerId)) return;
  for (const each of event.getCoalescedEvents?.() ?? [event]) addPoint(place(each));
});
pad.addEventListener("pointerup", () => run(true));
pad.addEventListener("keydown", onKey);
for (const kind of ["focus", "blur"]) pad.addEventListener(kind, () => shape && draw());
document.addEventListener("keydown", (event) => {
  if (!((event.ctrlKey || event.metaKey) && event.key === "z") || !shape) return;
  event.preventDefault();
  undo();
});
at("undo").addEventListener("click", undo);
at("clear").addEventListener("click", clear);
at("choose").addEventListener("change", trying((event) => event.target.files[0] && choose(event.target.files[0])));
at("open").addEventListener("change", trying(async (event) => {
  const [file] = event.target.files;
  if (file) await open(await file.arrayBuffer(), { title: file.name });
}));
const drop = document.querySelector(".input");
for (const kind of ["dragover", "dragleave", "drop"])
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
  });
drop.addEventListener("drop", trying((event) => shape && event.dataTransfer.files[0] && choose(event.dataTransfer.files[0])));

const get = async (name) => {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response;
};
await trying(async () => open(await (await get("network.npz")).arrayBuffer(), await (await get("page.json")).json()))();
document.documentElement.dataset.ready = "";
