"use strict";
// Everything a model wrote is set as textContent or a text area's value: it can never become markup.
const token = new URLSearchParams(location.search).get("token") || "";
const page = Object.fromEntries(["place", "bar", "done", "others", "keys", "main", "facts", "sides", "comment", "buttons",
  "message", "who", "name"].map((id) => [id, document.getElementById(id)]));
const JUDGING = [["a", "accept", "Accept"], ["r", "reject", "Reject"]];
const COMPARING = [["1", "first", "Left is better"], ["2", "second", "Right is better"], ["0", "tie", "Equally good"],
  ["x", "neither", "Both bad"]];
let reviewer = "", comparing = false, shown = null, edits = {}, since = 0, busy = false;

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function say(text, bad = false) {
  page.message.textContent = text;
  page.message.className = bad ? "bad" : "";
}

async function ask(address, parameters, body) {
  const query = new URLSearchParams(parameters);
  const options = { headers: { "x-token": token } };
  if (body) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(`${address}?${query}`, options);
  } catch {
    throw new Error("the review's server does not answer; start the same command again, nothing decided is lost");
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.error || `the server answered ${answer.status}`);
  return data;
}

function showProgress(progress) {
  page.bar.max = progress.total;
  page.bar.value = progress.done;
  page.done.textContent = `${progress.done} of ${progress.total} decided`;
  page.others.textContent = Object.entries(progress.reviewers).filter(([name]) => name !== reviewer)
    .map(([name, count]) => `${name}: ${count}`).join(", ");
}

function turnElement(turn, position, editable) {
  const text = edits[position] ?? turn.text;
  const box = element("article", `turn ${turn.role}${position in edits ? " edited" : ""}`);
  box.append(element("div", "role", turn.role), element("pre", "", text));
  for (const note of turn.notes) box.append(element("p", "note", note));
  if (editable) {
    box.addEventListener("dblclick", () => edit(box, turn, position));
    box.dataset.position = position;
  }
  return box;
}

function edit(box, turn, position) {
  if (box.querySelector("textarea")) return;
  const area = element("textarea");
  area.value = edits[position] ?? turn.text;
  box.querySelector("pre").replaceWith(area);
  area.focus();
  area.addEventListener("blur", () => {
    if (area.value === turn.text) delete edits[position];
    else edits[position] = area.value;
    box.replaceWith(turnElement(turn, position, true));
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") area.blur();
    event.stopPropagation();
  });
}

function draw(item) {
  shown = item;
  since = performance.now();
  const decision = item.decision;
  edits = decision ? { ...decision.edits } : {};
  page.comment.value = decision ? decision.comment : "";
  page.place.textContent = `${item.position + 1} / ${item.total}  ${item.sample}`;
  page.facts.replaceChildren(...Object.entries(item.facts || {}).map(([name, value]) => {
    const fact = element("span", `fact ${name === "verification" ? value : ""}`);
    fact.append(element("b", "", `${name} `), document.createTextNode(value));
    return fact;
  }));
  const sides = item.sides || [item.turns];
  page.sides.replaceChildren(...sides.map((turns, index) => {
    const side = element("section", "side");
    if (item.sides) side.append(element("h2", "", index ? "Right" : "Left"));
    side.append(...turns.map((turn, position) => turnElement(turn, position, item.editable)));
    return side;
  }));
  page.buttons.replaceChildren(...(comparing ? COMPARING : JUDGING).map(([key, choice, label]) => {
    const button = element("button", decision && decision.choice === choice ? "chosen" : "");
    button.append(element("kbd", "", key), document.createTextNode(` ${label}`));
    button.dataset.choice = choice;
    button.addEventListener("click", () => decide(choice));
    return button;
  }));
  scrollTo(0, 0);
}

async function go(position) {
  if (position < 0) return;
  try {
    draw(await ask("item", { position, reviewer }));
    location.hash = String(position + 1);
  } catch (error) {
    say(error.message, true);
  }
}

async function decide(choice) {
  if (busy) return;
  busy = true;
  if (document.activeElement) document.activeElement.blur();  // keeps an edit that is still open
  try {
    const progress = await ask("decision", {}, {
      reviewer, choice, position: shown.position, comment: page.comment.value, edits: shown.editable ? edits : {},
      seconds: (performance.now() - since) / 1000,
    });
    showProgress(progress);
    say(choice ? `${choice}: kept` : "taken back");
    if (!choice) await go(shown.position);
    else if (shown.position + 1 < shown.total) await go(shown.position + 1);
    else if (progress.next !== null) await go(progress.next);
    else { await go(shown.position); say("All are decided. Close the page, and stop the command with Ctrl-C."); }
  } catch (error) {
    say(error.message, true);
  } finally {
    busy = false;
  }
}

document.addEventListener("keydown", (event) => {
  if (!shown || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target === page.comment) {
    if (event.key === "Escape") page.comment.blur();
    return;
  }
  if (event.target.tagName === "TEXTAREA" || event.target.tagName === "INPUT") return;
  const choice = (comparing ? COMPARING : JUDGING).find(([key]) => key === event.key.toLowerCase());
  if (choice) decide(choice[1]);
  else if (event.key === "ArrowRight" || event.key === "j") go(Math.min(shown.position + 1, shown.total - 1));
  else if (event.key === "ArrowLeft" || event.key === "k") go(shown.position - 1);
  else if (event.key === "u") decide("");
  else if (event.key === "c") page.comment.focus();
  else if (event.key === "e" && shown.editable) editFirst();
  else return;
  event.preventDefault();
});

function editFirst() {
  const boxes = [...document.querySelectorAll(".turn.assistant")];
  const visible = boxes.find((box) => box.getBoundingClientRect().bottom > 80) || boxes[0];
  if (visible) visible.dispatchEvent(new MouseEvent("dblclick"));
}

function keysHelp() {
  const keys = comparing ? [["1", "left"], ["2", "right"], ["0", "tie"], ["x", "both bad"]]
    : [["a", "accept"], ["r", "reject"], ["e", "edit"]];
  for (const [key, what] of [...keys, ["c", "comment"], ["u", "take back"], ["←", "back"], ["→", "on"]]) {
    page.keys.append(element("kbd", "", key), document.createTextNode(` ${what} `));
  }
}

async function begin(name) {
  reviewer = name.trim();
  try {
    const progress = await ask("progress", { reviewer });
    comparing = progress.comparing;
    try { localStorage.setItem("reviewer", reviewer); } catch { /* private windows have none */ }
    page.who.hidden = true;
    page.main.hidden = false;
    keysHelp();
    showProgress(progress);
    const named = Number.parseInt(location.hash.slice(1), 10);
    await go(Number.isInteger(named) ? named - 1 : progress.next ?? 0);
  } catch (error) {
    alert(error.message);
  }
}

page.who.addEventListener("submit", (event) => {
  event.preventDefault();
  begin(page.name.value);
});
try { page.name.value = localStorage.getItem("reviewer") || ""; } catch { /* private windows have none */ }
page.name.focus();
