// SPDX-License-Identifier: MIT
// The page, in Chromium: node --test. PAGE is the folder of another one, of a network that takes coloured pictures.
import assert from "node:assert/strict";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { serve, withChromium } from "./browser.mjs";

// Strokes of each digit, x and y from 0 to 9, y downwards: not those that the network was trained on.
const DIGITS = ["50 30 12 15 38 59 78 85 82 60 40", "48 40 43 47 49", "12 20 50 72 74 47 19 79", "10 60 82 64 44 64 86 69 19",
  "50 15 75,62 69", "70 20 24 54 76 68 49 19", "60 32 15 17 39 69 77 65 35 17", "10 80 64 49", "50 22 33 65 77 59 38 16 34 63 72 50",
  "72 50 22 24 45 73 71 64 49"];

let server;
before(async () => {
  server = await serve({ "/": fileURLToPath(new URL("../demo/", import.meta.url)), "/picture/": env.PAGE });
});
after(() => server.close());

const text = (tab, selector) => tab.$eval(selector, (element) => element.textContent);
const painted = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));

async function open(tab, path = "", { width = 1000, scheme = "light", touch = false } = {}) {
  await tab.setViewport({ width, height: 900, hasTouch: touch, isMobile: touch });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await tab.goto(server.url + path);
  await tab.waitForSelector("[data-ready]");
}

// Draws strokes as `kind` of pointer does, in the middle of the pad.
async function draw(tab, strokes, kind = "mouse") {
  const box = await (await tab.$("#pad")).boundingBox(), client = await tab.createCDPSession();
  for (const stroke of strokes.split(",")) {
    const points = stroke.split(" ").map(([x, y]) => [box.x + box.width * (0.26 + 0.053 * x), box.y + box.height * (0.2 + 0.066 * y)]);
    const send = (type, [x, y]) => kind === "touch"
      ? client.send("Input.dispatchTouchEvent", { type: `touch${type}`, touchPoints: type === "End" ? [] : [{ x, y }] })
      : client.send("Input.dispatchMouseEvent", { type: `mouse${{ Start: "Pressed", Move: "Moved", End: "Released" }[type]}`, x, y,
        button: "left", buttons: type === "End" ? 0 : 1, pointerType: kind, clickCount: 1 });
    await send("Start", points[0]);
    for (let i = 1; i < points.length; i++)
      for (let k = 1; k <= 6; k++) await send("Move", points[i - 1].map((from, axis) => from + ((points[i][axis] - from) * k) / 6));
    await send("End", points.at(-1));
  }
  await tab.evaluate(painted);
}

test("known strokes give the known digit", async () => withChromium(async (tab) => {
  await open(tab);
  for (const [digit, strokes] of DIGITS.entries()) {
    await tab.click("#clear");
    await draw(tab, strokes);
    assert.match(await text(tab, "#answer"), RegExp(`^${digit}, `), `drawn: ${digit}`);
    const bars = await tab.$$eval("#bars li", (items) => items.map((item) => [item.className, item.innerText]));
    assert.equal(bars.length, 10);
    assert.deepEqual(bars.map(([name]) => name === "first"), DIGITS.map((_, i) => i === digit));
  }
}));

for (const [kind, touch] of [["pen", false], ["touch", true]])
  test(`drawing with ${kind}`, async () => withChromium(async (tab) => {
    await open(tab, "", { width: 390, touch });
    await draw(tab, DIGITS[7], kind);
    assert.match(await text(tab, "#answer"), /^7, /);
    assert.equal(await tab.evaluate(() => scrollY), 0);
  }));

test("it is named while it is drawn, with the time, the kernels and pictures of the first layer", async () => withChromium(async (tab) => {
  await open(tab);
  assert.equal(await text(tab, "#answer"), "");
  const box = await (await tab.$("#pad")).boundingBox();
  await tab.mouse.move(box.x + box.width / 2, box.y + box.height * 0.2);
  await tab.mouse.down();
  await tab.mouse.move(box.x + box.width / 2, box.y + box.height * 0.8, { steps: 10 });
  await tab.evaluate(painted);
  assert.match(await text(tab, "#answer"), /^1, /); // the button is still down,
  assert.equal(await text(tab, "[role=status]"), ""); // and nothing is said aloud
  await tab.mouse.up();
  assert.match(await text(tab, "#time"), /^A run takes [1-9]\d* µs, by wasm128-direct, wasm128-winograd22\.$/);
  const maps = await tab.$$eval("#maps canvas", (all) => all.map((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return { width: canvas.width, height: canvas.height, values: new Set(data.filter((_, i) => i % 4 === 0)).size };
  }));
  assert.equal(maps.length, 8);
  for (const map of maps) assert.ok(map.width === 13 && map.height === 13 && map.values > 1);
  assert.equal((await tab.$$("#stages tr")).length, 4);
}));

test("undo and clear", async () => withChromium(async (tab) => {
  await open(tab);
  await draw(tab, DIGITS[1]);
  const one = await text(tab, "#answer");
  await draw(tab, "07 97,02 92");
  const both = await text(tab, "#answer");
  assert.notEqual(both, one);
  await tab.click("#undo");
  assert.notEqual(await text(tab, "#answer"), both);
  await tab.keyboard.down("Control");
  await tab.keyboard.press("z");
  await tab.keyboard.up("Control");
  assert.equal(await text(tab, "#answer"), one);
  await tab.click("#clear");
  assert.equal(await text(tab, "#answer"), "");
  await tab.click("#undo"); // nothing is left
  assert.equal(await text(tab, "#answer"), "");
}));

test("by keyboard alone", async () => withChromium(async (tab) => {
  await open(tab);
  for (let i = 0; i < 9 && !(await tab.$("#pad:focus")); i++) await tab.keyboard.press("Tab");
  assert.ok(await tab.$("#pad:focus"));
  const go = async (key, count) => {
    for (let i = 0; i < count; i++) await tab.keyboard.press(key);
  };
  await go("ArrowRight", 5);
  await go("ArrowUp", 3);
  await go("Space", 1);
  await go("ArrowDown", 17);
  await go("Space", 1);
  await tab.evaluate(painted);
  assert.match(await text(tab, "#answer"), /^1, /);
  assert.equal(await text(tab, "[role=status]"), await text(tab, "#answer"));
  await tab.keyboard.press("Delete");
  assert.equal(await text(tab, "#answer"), "");
}));

test("another network, and what is none", async () => withChromium(async (tab) => {
  await open(tab);
  const chooser = await tab.$("#open"), folder = await mkdtemp(join(tmpdir(), "convpool-"));
  const broken = join(folder, "broken.npz");
  await writeFile(broken, (await readFile(join(env.PAGE, "network.npz"))).subarray(0, 3000));
  await chooser.uploadFile(broken);
  await tab.waitForSelector("#trouble:not([hidden])");
  assert.match(await text(tab, "#trouble"), /damaged/);
  await draw(tab, DIGITS[7]); // the one before is still there
  assert.match(await text(tab, "#answer"), /^7, /);
  await chooser.uploadFile(join(env.PAGE, "network.npz"));
  await tab.waitForFunction(() => document.title === "network.npz");
  assert.equal(await tab.$eval("#trouble", (element) => element.hidden), true);
  assert.equal(await tab.$eval("#drawing", (element) => element.hidden), true);
  assert.ok((await tab.$$("#stages tr")).length > 2);
}));

test("a picture, scaled as told", async () => withChromium(async (tab) => {
  await open(tab, "picture/");
  const { title, classes, scale, offset } = JSON.parse(await readFile(join(env.PAGE, "page.json")));
  assert.equal(await text(tab, "#title"), title);
  const folder = await mkdtemp(join(tmpdir(), "convpool-")), file = join(folder, "picture.png");
  const [height, width] = [40, 44], color = [200, 100, 50];
  const url = await tab.evaluate((width, height, color) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height }), context = canvas.getContext("2d");
    context.fillStyle = `rgb(${color})`;
    context.fillRect(0, 0, width, height);
    return canvas.toDataURL();
  }, width, height, color);
  await writeFile(file, Buffer.from(url.split(",")[1], "base64"));
  await (await tab.$("#choose")).uploadFile(file);
  await tab.waitForFunction(() => document.getElementById("answer").textContent);
  const { load } = await import("../dist/convpool.js");
  const net = await load(await readFile(join(env.PAGE, "network.npz")));
  const x = Float32Array.from({ length: height * width * 3 }, (_, i) => color[i % 3] * scale[i % 3] + offset[i % 3]), y = net.run(x);
  const best = y.indexOf(Math.max(...y));
  assert.equal(await text(tab, "#answer"), `${classes[best]}, ${y[best].toPrecision(3)}`);
  assert.equal((await tab.$$("#bars li")).length, 12); // of 17
  assert.equal(await text(tab, "#bars li .name"), classes[best]);
}));

test("accessible, in both colour schemes, on a phone and on a desk", async () => withChromium(async (tab) => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  for (const scheme of ["light", "dark"])
    for (const width of [360, 1200]) {
      await open(tab, "", { width, scheme });
      await draw(tab, DIGITS[4]);
      await tab.evaluate(axe);
      const { violations } = await tab.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), [], `${scheme}, ${width}`);
      assert.ok(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} is enough`);
    }
}));

test("what is not there is said", async () => withChromium(async (tab) => {
  await tab.setRequestInterception(true);
  tab.on("request", (request) => (request.url().endsWith("network.npz") ? request.respond({ status: 404, body: "" }) : request.continue()));
  await open(tab);
  assert.match(await text(tab, "#trouble"), /network\.npz: 404/);
}, { quiet: true }));
