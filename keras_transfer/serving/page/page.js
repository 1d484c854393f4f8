"use strict";

const $ = (id) => document.getElementById(id);
const SHOWN = 5;
const STORED = "keras_transfer token"; // for as long as the tab is open, and for this origin alone
let about = { name: "", models: [], input: "image", resize: "", outputs: [], examples: [] };
let token = sessionStorage.getItem(STORED) || "";
let turn = 0; // an answer to an earlier example is not shown for a later one
let asked = ""; // the text whose answer is shown

/* A response that is not refused for want of a token. */
async function fetched(path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, body
      ? {
        method: "POST",
        headers: { ...headers, "Content-Type": "application/json" },
        body: JSON.stringify(body),
      }
      : { headers });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (response.status === 401) {
    $("access").hidden = false;
    $("token").focus();
    throw new Error("The server wants a token.");
  }
  return response;
}

async function ask(path, body) {
  const response = await fetched(path, body);
  const document = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(document.error || `The server answered ${response.status}.`);
  return document;
}

const takesPairs = () => about.input === "text_pair";
const takesText = () => about.input === "text" || takesPairs();
const model = () => `/v1/models/${encodeURIComponent(about.name)}`;

function say(text, wrong = false) {
  $("message").textContent = text;
  $("message").classList.toggle("wrong", wrong);
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(file);
  });
}

function classify(file) {
  clearHeat();
  show(file);
  return answered("Looking at it …", async () => ({ image_bytes: { b64: await base64(file) } }));
}

/* Ask about one example, and show the answer. */
async function answered(working, instance) {
  const mine = ++turn;
  $("answer").replaceChildren();
  $("more").hidden = true;
  say(working);
  try {
    const instances = [await instance()];
    const answer = await ask(`${model()}:predict`, { instances });
    if (mine !== turn) return;
    say("");
    asked = instances[0].text || "";
    list(answer.predictions[0]);
    const heats = takesText() ? [] : await explained(instances);
    if (mine === turn && heats.length) keepHeats(heats);
  } catch (error) {
    if (mine === turn) say(error.message, true);
  }
}

async function explained(instances) {
  try {
    const answer = await ask(`${model()}:predict`, { signature_name: "explain", instances });
    return outputs().flatMap((output) => heatsOf(output, answer.predictions[0]));
  } catch {
    return []; // not every export can say where it looked
  }
}

/* What is predicted; an export that does not say it is a classification. */
function outputs() {
  return about.outputs.length ? about.outputs : [{ name: "label", prefix: "", activation: "softmax" }];
}

/* A server leaves the name out where a tensor is the only one. */
function tensor(output, prediction, name) {
  return Array.isArray(prediction) ? prediction : prediction[output.prefix + name];
}

/* The heat maps of an output, each with what it is for. */
function heatsOf(output, prediction) {
  const heat = tensor(output, prediction, "heat");
  const alone = outputs().length === 1;
  const named = (name) => (alone || name === output.name ? name : `${output.name}: ${name}`);
  if (output.activation === "softmax") {
    return [{ title: named(tensor(output, prediction, "classes")), heat }];
  }
  if (output.activation === "linear") {
    return output.names.map((name, place) => ({ title: named(name), heat: heat[place] }));
  }
  const explained = tensor(output, prediction, "explained");
  return tensor(output, prediction, "labels")
    .map((name, place) => ({ title: named(name), heat: heat[place], there: explained[place] }))
    .filter((one) => one.there);
}

function show(file) {
  const image = $("image");
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  $("shown").hidden = false;
}

/* One block for each output, with its name where there are several. */
function list(prediction) {
  const blocks = outputs().flatMap((output) => {
    const rows = document.createElement("ol");
    rows.append(...ROWS[output.activation](output, prediction));
    if (outputs().length === 1) return [rows];
    const title = document.createElement("h2");
    title.textContent = output.name;
    return [title, rows];
  });
  $("answer").replaceChildren(...blocks);
  $("more").hidden = !$("answer").querySelector("li[hidden]");
}

/* The rows of an output, by how its scores are made. */
const ROWS = {
  softmax: (output, prediction) => {
    const shares = tensor(output, prediction, "probabilities");
    return tensor(output, prediction, "classes").map((name, place) => {
      const row = barred(name, shares[place], place === 0);
      row.hidden = place >= SHOWN;
      return row;
    });
  },
  sigmoid: (output, prediction) => {
    const shares = tensor(output, prediction, "probabilities");
    const decided = tensor(output, prediction, "decided");
    return tensor(output, prediction, "labels").map((name, place) => {
      const row = barred(name, shares[place], decided[place]);
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.textContent = decided[place] ? "✓" : "";
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", decided[place] ? "predicted" : "not predicted");
      row.querySelector("span").before(mark);
      return row;
    });
  },
  words: (output, prediction) => {
    const found = entities(output, prediction);
    if (!found.length) return [row("No entity", "", false)];
    return found.map((one) => barred(`${one.text} (${one.type})`, one.score, true));
  },
  linear: (output, prediction) => tensor(output, prediction, "values").map(
    (value, place) => row(output.names[place], digits(value), false),
  ),
};

/* Entities of the text that was asked about: I- continues one of its type, all else begins one. */
function entities(output, prediction) {
  const [labels, shares, starts, ends] = ["labels", "probabilities", "starts", "ends"]
    .map((name) => tensor(output, prediction, name));
  const characters = [...asked]; // places count code points
  const found = [];
  labels.forEach((label, place) => {
    if (label === "" || label === "O") return;
    const last = found.at(-1);
    const type = label.slice(2);
    if (label.startsWith("I") && last && last.place === place - 1 && last.type === type) {
      Object.assign(last, { place, end: ends[place], shares: [...last.shares, shares[place]] });
    } else {
      found.push({ type, place, start: starts[place], end: ends[place], shares: [shares[place]] });
    }
  });
  return found.map((one) => ({
    type: one.type,
    text: characters.slice(one.start, one.end).join(""),
    score: one.shares.reduce((sum, share) => sum + share, 0) / one.shares.length,
  }));
}

function row(name, text, isAnswer) {
  const line = document.createElement("li");
  const label = document.createElement("span");
  label.className = "name";
  label.textContent = name;
  const share = document.createElement("span");
  share.className = "share";
  share.textContent = text;
  line.append(label, share);
  line.classList.toggle("answer", isAnswer);
  return line;
}

function barred(name, share, isAnswer) {
  const line = row(name, `${(100 * share).toFixed(1)} %`, isAnswer);
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.value = share;
  bar.setAttribute("aria-hidden", "true");
  line.prepend(bar);
  return line;
}

/* Five digits: 1234.5, 0.0012346, 1.2346e-9. */
function digits(value) {
  return String(Number(Number(value).toPrecision(5)));
}

/* The heat map covers the square that the network saw. */
let heats = [];

function clearHeat() {
  heats = [];
  $("heat").hidden = true;
  $("switch").hidden = true;
  $("note").textContent = "";
}

function keepHeats(found) {
  heats = found;
  $("switch").hidden = false;
  $("targets").hidden = heats.length < 2;
  $("target").replaceChildren(...heats.map(({ title }, place) => new Option(title, place)));
  if (about.resize === "crop") $("note").textContent = "The model saw the middle square.";
  drawHeat();
}

function seen(width, height) {
  const short = Math.min(width, height);
  const long = Math.max(width, height);
  if (about.resize === "crop") return [(width - short) / 2, (height - short) / 2, short, short];
  if (about.resize === "pad") return [(width - long) / 2, (height - long) / 2, long, long];
  return [0, 0, width, height];
}

function drawHeat() {
  const canvas = $("heat");
  canvas.hidden = !heats.length || !$("heated").checked;
  if (canvas.hidden) return;
  const { heat } = heats[Number($("target").value) || 0];
  const image = $("image");
  const small = document.createElement("canvas");
  small.height = heat.length;
  small.width = heat[0].length;
  const pixels = small.getContext("2d").createImageData(small.width, small.height);
  heat.flat().forEach((value, place) => pixels.data.set(colour(value), 4 * place));
  small.getContext("2d").putImageData(pixels, 0, 0);
  const { clientWidth: width, clientHeight: height } = image;
  canvas.width = width;
  canvas.height = height;
  canvas.style.left = `${image.offsetLeft}px`;
  canvas.style.top = `${image.offsetTop}px`;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, ...seen(width, height));
}

function colour(value) {
  const hot = Math.max(0, Math.min(1, value));
  const red = Math.round(255 * Math.min(1, 2 * hot));
  const green = Math.round(255 * (1 - Math.abs(2 * hot - 1)));
  const blue = Math.round(255 * Math.max(0, 1 - 2 * hot));
  return [red, green, blue, Math.round(20 + 235 * hot)];
}

/* An example comes with the token, which an <img> could not send. */
async function example(name) {
  const response = await fetched(`/page/examples/${encodeURIComponent(name)}`);
  if (!response.ok) throw new Error("The example is gone.");
  return response.blob();
}

function listExamples() {
  const items = about.examples.map((name) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const image = document.createElement("img");
    button.type = "button";
    image.alt = `Example ${name}`;
    button.append(image);
    example(name).then((blob) => { image.src = URL.createObjectURL(blob); }, () => item.remove());
    button.addEventListener("click", () => example(name).then(
      classify,
      (error) => say(error.message, true),
    ));
    item.append(button);
    return item;
  });
  $("examples").replaceChildren(...items);
  $("examples").hidden = items.length === 0;
}

function listModels() {
  $("models").hidden = about.models.length < 2;
  $("models").replaceChildren(...about.models.map((name) => {
    const chosen = name === about.name;
    return new Option(name, name, chosen, chosen);
  }));
}

function snippets() { // they name the variable that holds the token, never the token
  const url = `${location.origin}${model()}:predict`;
  const header = '-H "Content-Type: application/json" '
    + (token ? `-H "Authorization: Bearer $KT_SERVE_TOKEN" ` : "");
  const headers = token
    ? `{"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["KT_SERVE_TOKEN"]}`
    : `{"Content-Type": "application/json"}`;
  const imported = token ? "json, os, urllib.request" : "json, urllib.request";
  const text = takesPairs()
    ? '{"instances": [{"text_a": "a sentence to try", "text_b": "another one"}]}'
    : '{"instances": [{"text": "a sentence to try"}]}';
  $("curl").textContent = (takesText() ? [`curl -s ${header}--data-binary '${text}' ${url}`] : [
    `base64 < photo.jpg | tr -d '\\n' \\`,
    `  | sed 's/.*/{"instances": [{"image_bytes": {"b64": "&"}}]}/' \\`,
    `  | curl -s ${header}--data-binary @- ${url}`,
  ]).join("\n");
  $("python").textContent = [
    ...(takesText() ? [`import ${imported}`, "", `body = json.dumps(${text}).encode()`] : [
      `import base64, ${imported}`,
      "",
      'image = base64.b64encode(open("photo.jpg", "rb").read()).decode()',
      'body = json.dumps({"instances": [{"image_bytes": {"b64": image}}]}).encode()',
    ]),
    `request = urllib.request.Request("${url}", body, ${headers})`,
    "answer = json.load(urllib.request.urlopen(request))",
    about.outputs.every((output) => output.prefix === "" && output.activation === "softmax")
      ? 'print(answer["predictions"][0]["classes"][0], answer["predictions"][0]["probabilities"][0])'
      : 'print(answer["predictions"][0])',
  ].join("\n");
}

async function copy(button) {
  const program = $(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(program.textContent);
    button.textContent = "Copied";
  } catch { // only a page on TLS or localhost may use the clipboard
    getSelection().selectAllChildren(program);
    button.textContent = "Selected";
  }
}

async function start() {
  try {
    about = await ask(`/page/about.json${location.search}`);
    $("name").textContent = about.name;
    listModels();
    document.title = about.name;
    $("text-input").hidden = !takesText();
    $("image-input").hidden = takesText();
    for (const part of [$("second"), document.querySelector("label[for=second]")]) {
      part.hidden = !takesPairs();
    }
    $("second").disabled = !takesPairs(); // a hidden field that is required could not be sent
    snippets();
    listExamples();
    const status = await ask(model());
    const there = status.model_version_status.find((one) => one.state === "AVAILABLE");
    $("version").textContent = there ? `version ${there.version}` : "not available";
    say("");
  } catch (error) {
    say(error.message, true);
  }
}

function take(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) || files[0];
  if (file) classify(file);
}

$("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
document.addEventListener("paste", (event) => { if (!takesText()) take(event.clipboardData.files); });
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => {
    if (takesText()) return; // the browser drops text into the field
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  if (takesText()) return;
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
$("models").addEventListener("change", () => {
  location.search = `?model=${encodeURIComponent($("models").value)}`;
});
$("heated").addEventListener("change", drawHeat);
$("target").addEventListener("change", drawHeat);
$("image").addEventListener("load", drawHeat);
$("image").addEventListener("error", () => { $("shown").hidden = true; });
addEventListener("resize", drawHeat);
$("more").addEventListener("click", () => {
  for (const line of $("answer").querySelectorAll("li")) line.hidden = false;
  $("more").hidden = true;
});
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button));
}
$("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  const second = $("second").value;
  answered("Reading it …", async () => (takesPairs() ? { text_a: text, text_b: second } : { text }));
});
for (const field of [$("text"), $("second")]) {
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("write").requestSubmit();
  });
}
$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value;
  sessionStorage.setItem(STORED, token);
  $("access").hidden = true;
  start();
});
clearHeat();
start();
