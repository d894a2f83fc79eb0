// The page works without this; with it what is live stays live, and an answer is shown as what it is.
"use strict";

const live = document.getElementById("live");
async function refresh() {
  // Nothing moves under a reader's focus or selection, which may have come while the page was on its way.
  const busy = () => live.contains(document.activeElement) || !getSelection().isCollapsed;
  if (!busy() && !document.hidden) {
    try {
      const reply = await fetch("/page/live");
      const text = await reply.text();
      if (reply.ok && !busy()) live.innerHTML = text;
      document.body.dataset.lost = "";
    } catch {
      document.getElementById("lost").hidden = false;
      return;
    }
  }
  setTimeout(refresh, 1000);
}
if (live) setTimeout(refresh, 1000);

const form = document.getElementById("invoke");
const picked = () => form.function.selectedOptions[0];
const hints = {
  texts: "One text a line",
  chat: "What do you say?",
  picture: "A JPEG, PNG or WebP",
  recording: "A WAV, FLAC, MP3 or OGG",
  raw: "The request's body",
};
const files = { picture: "image/*", recording: "audio/*" };
function suit() {
  form.as.value = picked()?.dataset.as ?? "raw";
  hint();
}
function hint() {
  document.getElementById("hint").textContent = hints[form.as.value];
  const accepted = files[form.as.value];
  form.file.hidden = !accepted;
  form.input.hidden = Boolean(accepted);
  form.file.accept = accepted ?? "";
}

function body() {
  const text = form.input.value;
  switch (form.as.value) {
    case "texts":
      return JSON.stringify({ inputs: text.split("\n").filter((line) => line.trim()) });
    case "chat":
      return JSON.stringify({ messages: [{ role: "user", content: text }], stream: true });
    case "picture":
    case "recording":
      return form.file.files[0];
    default:
      return text;
  }
}

function type(sent) {
  if (sent instanceof File) return sent.type || "application/octet-stream";
  return form.as.value === "raw" ? "text/plain" : "application/json";
}

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// Vectors come normalised: their product is the cosine.
function matrix(vectors, texts) {
  const table = element("table", undefined, "matrix");
  table.append(element("caption", "Cosine similarity"));
  vectors.forEach((a, row) => {
    const line = table.insertRow();
    vectors.forEach((b) => {
      const cosine = a.reduce((sum, x, i) => sum + x * b[i], 0);
      const cell = line.insertCell();
      cell.textContent = cosine.toFixed(3);
      cell.style.background = `color-mix(in srgb, var(--inference) ${Math.max(0, cosine * 45)}%, transparent)`;
    });
    line.append(element("th", texts[row] ?? ""));
  });
  return table;
}

// A row for each label, the likeliest first.
function scores(predictions) {
  const table = element("table", undefined, "scores");
  for (const { label, score } of predictions) {
    const line = table.insertRow();
    line.insertCell().textContent = label;
    line.insertCell().textContent = score.toFixed(3);
    const bar = element("i");
    bar.style.width = `${Math.max(0, score) * 100}%`;
    line.insertCell().append(bar);
  }
  return table;
}

// What is said when, and the rest of a recording's answer.
function heard(value) {
  const list = element("ol");
  for (const { start, end, text } of value.segments) {
    list.append(element("li", `${start.toFixed(2)}–${end.toFixed(2)} s ${text ?? ""}`));
  }
  const all = element("div");
  if (value.text !== undefined) all.append(element("p", value.text));
  all.append(list);
  return all;
}

// An answer as what it is; without a form of its own it is JSON.
function suited(value, sent) {
  if (Array.isArray(value.embeddings)) return matrix(value.embeddings, JSON.parse(sent).inputs ?? []);
  const predictions = value.predictions;
  if (Array.isArray(predictions) && predictions.length) return scores(predictions.flat());
  if (Array.isArray(value.segments)) return heard(value);
  return undefined;
}

// The text within the events of a stream, or within one JSON answer.
function spoken(text) {
  const word = (value) =>
    value.choices?.[0]?.delta?.content ?? value.choices?.[0]?.message?.content ?? value.text ?? value.token ?? "";
  const events = text.split("\n").filter((line) => line.startsWith("data:"));
  if (!events.length) {
    try {
      return word(JSON.parse(text)) || text;
    } catch {
      return text;
    }
  }
  return events
    .map((line) => {
      try {
        return word(JSON.parse(line.slice(5)));
      } catch {
        return "";
      }
    })
    .join("");
}

async function send(event) {
  event.preventDefault();
  const answer = document.getElementById("answer");
  const sent = body();
  if (sent === undefined) {
    answer.replaceChildren(element("p", "Choose a file first.", "bad"));
    return;
  }
  answer.replaceChildren(element("p", "…", "faint"));
  const began = performance.now();
  try {
    const reply = await fetch("/invoke/" + encodeURIComponent(picked().value), {
      method: "POST",
      body: sent,
      headers: { "content-type": type(sent) },
    });
    const shown = element("pre");
    const facts = element("p", `${reply.status} · call `, reply.ok ? "faint" : "bad");
    const id = reply.headers.get("fn-call-id") ?? "";
    const link = element("a", id);
    link.href = "/page/calls/" + id;
    facts.append(link);
    answer.replaceChildren(facts, shown);
    let text = "";
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += part.value;
      if (reply.ok && form.as.value === "chat") shown.textContent = spoken(text);
    }
    facts.append(` · ${(performance.now() - began).toFixed(1)} ms`);
    if (reply.ok && form.as.value === "chat") return;
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      shown.textContent = text;
      return;
    }
    const made = reply.ok ? suited(value, sent) : undefined;
    if (made) shown.replaceWith(made);
    else shown.textContent = JSON.stringify(value, null, 2);
  } catch (error) {
    answer.replaceChildren(element("p", `No answer: ${error.message}`, "bad"));
  }
}

if (form) {
  form.function.addEventListener("change", suit);
  form.as.addEventListener("change", hint);
  form.addEventListener("submit", send);
  suit();
}
