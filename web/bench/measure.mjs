// SPDX-License-Identifier: MIT
// Times networks beside onnxruntime-web and TensorFlow.js with its WebAssembly backend, on one thread, in Node and in a
// browser. One image a call, from a Float32Array to one; samples by turns; results are held to each other.
const product = (shape) => shape.reduce((a, b) => a * b, 1);

// The stages, which models.py wrote, by TensorFlow.js' operations, fused where it can: what a converted model calls.
export function tensorflow(tf, plan, weights) {
  const numbers = ([at, ...shape]) => [weights.subarray(at, at + product(shape)), shape];
  const constant = (where) => where && tf.tensor(...numbers(where));
  const known = plan.stages.map((s) => {
    const [w, b, slopes] = [s.weights, s.bias, s.slopes].map(constant);
    const dense = s.kind === "layer" && !s.pads.some(Boolean) && `${s.window}` === `${s.into.slice(1)}`;
    let filter = s.kind === "layer" ? tf.transpose(w, [2, 3, 1, 0]) : w;
    if (dense) filter = tf.reshape(filter, [-1, w.shape[0]]);
    return { s, dense, filter, bias: b, slopes, pad: [[0, 0], [s.pads[0], s.pads[2]], [s.pads[1], s.pads[3]], [0, 0]] };
  });
  const fusable = { none: "linear", relu: "relu", relu6: "relu6", sigmoid: "sigmoid", elu: "elu" };
  const others = { tanh: (x) => tf.tanh(x), leaky_relu: (x, s) => tf.leakyRelu(x, s.parameter), prelu: (x, s, slopes) => tf.prelu(x, slopes) };
  const step = (x, { s, dense, filter, bias, slopes, pad }) => {
    const activation = fusable[s.activation] ?? "linear", after = others[s.activation] ?? ((y) => y);
    switch (s.kind) {
      case "layer":
        if (dense) x = tf.reshape(tf.fused.matMul({ a: tf.reshape(x, [1, -1]), b: filter, bias, activation }), [1, 1, 1, -1]);
        else x = tf.fused.conv2d({ x, filter, strides: s.strides, pad, bias, activation });
        x = after(x, s, slopes);
        return s.pool === "none" ? x : tf.maxPool(x, 2, 2, s.pool === "ceil" ? "same" : "valid");
      case "max_pool": return tf.maxPool(x, s.window, s.strides, pad);
      case "average_pool": return tf.avgPool(x, s.window, s.strides, pad);
      case "global_average": return tf.mean(x, [1, 2], true);
      case "global_max": return tf.max(x, [1, 2], true);
      case "scale": return bias ? tf.add(tf.mul(x, filter), bias) : tf.mul(x, filter);
      case "activation": return s.activation in fusable ? tf[s.activation](x) : after(x, s, slopes);
      case "softmax": return tf.softmax(x);
      case "log_softmax": return tf.logSoftmax(x);
    }
  };
  const [c, h, w] = plan.shape;
  return (x) => tf.tidy(() => {
    let image = plan.outside === "HWC" ? tf.tensor4d(x, [1, h, w, c]) : tf.transpose(tf.tensor4d(x, [1, c, h, w]), [0, 2, 3, 1]);
    for (const stage of known) image = step(image, stage);
    return (plan.result === "HWC" ? image : tf.transpose(image, [0, 3, 1, 2])).dataSync();
  });
}

export async function onnxruntime(ort, model) {
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], intraOpNumThreads: 1 });
  const [input] = session.inputNames, [output] = session.outputNames;
  return (shape) => async (x) => (await session.run({ [input]: new ort.Tensor("float32", x, [1, ...shape]) }))[output].data;
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// Of each call in {name: function} the median microseconds, and of each other the median of its time over the first's.
export async function time(calls, x, seconds) {
  const names = Object.keys(calls), results = {}, counts = {}, times = Object.fromEntries(names.map((name) => [name, []]));
  const sample = async (name, count) => {
    const call = calls[name], start = performance.now();
    for (let i = 0; i < count; i++) {
      const y = call(x);
      if (y instanceof Promise) await y;
    }
    return (performance.now() - start) / count;
  };
  for (const name of names) {
    results[name] = Float32Array.from(await calls[name](x));
    for (let i = 0; i < 30; i++) await sample(name, 10); // until it is compiled as well as it will be
    counts[name] = Math.ceil(5 / (await sample(name, 10)));
  }
  const largest = Math.max(...results[names[0]].map(Math.abs));
  for (const name of names)
    results[name].forEach((y, i) => {
      if (!(Math.abs(y - results[names[0]][i]) <= 1e-4 * largest)) throw new Error(`${name} is off: ${y} at ${i}`);
    });
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end || times[names[0]].length < 9)
    for (const name of names) times[name].push(await sample(name, counts[name]));
  return Object.fromEntries(names.map((name) => [name, {
    microseconds: median([...times[name]]) * 1000,
    ratio: median(times[name].map((t, i) => t / times[names[0]][i])),
  }]));
}

// `get` reads a file as bytes.
export async function measure({ load, ort, tf }, names, get, seconds) {
  const rows = [];
  for (const name of names) {
    const net = await load(await get(`${name}.npz`)), plan = JSON.parse(new TextDecoder().decode(await get(`${name}.json`)));
    const weights = new Float32Array((await get(`${name}.bin`)).slice().buffer);
    const x = Float32Array.from({ length: product(net.inputShape) }, (_, i) => ((i * 7919) % 1009) / 1009);
    const calls = {
      convpool: (image) => net.run(image),
      "onnxruntime-web": (await onnxruntime(ort, await get(`${name}.onnx`)))(net.inputShape),
      "tfjs-backend-wasm": tensorflow(tf, plan, weights),
    };
    rows.push({ name, kernels: net.stages().map((stage) => stage.kernel || stage.kind), ...(await time(calls, x, seconds)) });
  }
  return rows;
}
