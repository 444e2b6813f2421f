// One episode: how it ended, its search tree, and every path step by step.
"use strict";
(function () {
  const { el } = agentx;
  const BEFORE = new Set(["plan", "pick"]);

  const messages = list => (list || []).map(message => [el("p", { class: "role" }, message.role), el("pre", {}, message.content)]);

  function tokens(calls) {
    const sum = name => calls.reduce((total, call) => total + call[name], 0);
    const cached = sum("cached_tokens");
    return `${agentx.number(sum("prompt_tokens"))} → ${agentx.number(sum("completion_tokens"))} tokens`
      + (cached ? ` (${agentx.number(cached)} cached)` : "") + `, ${sum("seconds").toFixed(1)} s`;
  }

  function asked(call) {
    return el("details", { class: "call" },
      el("summary", {}, el("b", {}, call.role), ` ${agentx.words(call.purpose)}: `, el("q", {}, call.text.slice(0, 100)),
        el("span", { class: "note" }, " " + tokens([call]))),
      messages(call.messages), el("p", { class: "role" }, "reply"), el("pre", {}, call.text));
  }

  function candidatesOf(step) {
    if (step.candidates.length < 2) return null;
    return el("details", { class: "candidates" }, el("summary", {}, `${step.candidates.length} candidates`),
      el("ol", {}, step.candidates.map((candidate, i) => el("li", { class: i === step.chosen ? "picked" : "" },
        el("pre", {}, candidate.reply),
        el("span", { class: "note" }, i === step.chosen ? "taken" : "", candidate.duplicate ? " the same again" : "",
          candidate.score === null ? "" : ` score ${agentx.share(candidate.score)}`)))));
  }

  function stepOf(step, calls, parted) {
    const candidate = step.candidates[step.chosen];
    const own = calls.filter(call => call.step === step.index);
    const chips = [
      step.verdict === "valid" ? null : el("span", { class: "chip bad" }, agentx.words(step.verdict)),
      step.reward ? el("span", { class: "chip good" }, `reward ${agentx.share(step.reward)}`) : null,
      step.subtask === null ? null : el("span", { class: "chip" }, `subtask ${step.subtask + 1}`
        + (step.subtask_done === null ? "" : step.subtask_done ? ", judge: done" : ", judge: not done")),
      ...step.notices.map(notice => el("span", { class: "chip" }, agentx.words(notice))),
      ...candidate.forgiven.map(what => el("span", { class: "chip" }, `forgiven: ${agentx.words(what)}`)),
      parted ? el("span", { class: "chip parted" }, "differs from here on") : null,
    ];
    const ran = step.executed && step.executed !== candidate.action ? el("span", { class: "note" }, `  ran: ${step.executed}`) : null;
    return el("section", { class: `step ${step.verdict}`, data: { step: step.index } },
      own.filter(call => BEFORE.has(call.purpose)).map(asked),
      candidate.thought ? el("pre", { class: "thought" }, candidate.thought) : null,
      el("pre", { class: "action" }, candidate.action === null ? [el("span", { class: "chip bad" }, "no action"), " ", candidate.reply] : candidate.action, ran),
      step.observation ? el("pre", { class: "observation" }, step.observation) : null,
      el("p", { class: "note" }, `step ${step.index} `, chips, own.length ? " " + tokens(own) : ""),
      candidatesOf(step), own.filter(call => call.purpose !== "act" && !BEFORE.has(call.purpose)).map(asked));
  }

  function pathOf(path, episode, threshold, open, parted) {
    const calls = episode.calls.filter(call => call.path === path.index);
    const steps = new Set(path.steps.map(step => step.index));
    const selected = path.index === episode.selected;
    const success = path.reward >= threshold;
    const end = agentx.words(path.outcome) + `, reward ${agentx.share(path.reward)}`;
    const details = el("details", { class: `path${selected ? " counts" : ""}`, data: { path: path.index } },
      el("summary", {}, el("b", {}, `path ${path.index}`), el("span", { class: success ? "solved" : "failed" }, ` ${success ? "✓" : "✗"} `), end,
        path.judged_success === null ? "" : `, judge: ${path.judged_success ? "done" : "not done"}`, path.parent === null ? "" : `, from ${path.parent}`,
        selected ? el("span", { class: "chip good" }, "counts") : ""));
    // Made when first opened: an episode may have a hundred paths.
    const show = () => {
      if (details.childElementCount > 1) return;
      details.append(
        ...[path.opening.length ? el("details", { class: "prompt" }, el("summary", {}, "prompt"), messages(path.opening)) : null,
          path.subtasks.length ? el("ol", { class: "subtasks" }, path.subtasks.map(text => el("li", {}, text))) : null].filter(Boolean),
        ...path.steps.map((step, i) => stepOf(step, calls, i === parted)),
        ...calls.filter(call => !steps.has(call.step) && call.purpose !== "act").map(asked));
    };
    details.addEventListener("toggle", show);
    if (open) { details.open = true; show(); }
    details.show = show;
    return details;
  }

  /** The page of an episode. `parted`: the step from which on it differs from the one it is compared with. */
  agentx.drawEpisode = function (row, episode, parted) {
    const { cell } = row;
    const known = new Set(episode.paths.map(path => path.index));
    const isTree = episode.paths.some(path => path.parent !== null);
    const paths = episode.paths.filter(path => path.steps.length || !isTree)
      .map(path => pathOf(path, episode, cell.threshold, path.index === episode.selected, path.index === episode.selected ? parted : -1));
    const go = (path, step) => {
      const details = paths.find(item => item.dataset.path === String(path));
      if (!details) return;
      details.open = true;
      details.show();
      const target = details.querySelector(`section[data-step="${Number(step)}"]`) || details;
      target.scrollIntoView({ block: "center" });
      target.classList.add("found");
      setTimeout(() => target.classList.remove("found"), 1200);
    };
    const notices = Object.entries(episode.notices).map(([name, number]) => el("span", { class: "chip" }, `${agentx.words(name)} ${number}`));
    const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
    return el("article", { class: "episode", data: { cell: cell.id, sample: row.sample } },
      el("h2", {}, el("span", { class: row.success ? "solved" : "failed" }, row.success ? "✓ " : "✗ "), row.sample, row.trial ? `, trial ${row.trial}` : ""),
      el("p", { class: "note" }, `${cell.task} · ${cell.model} · ${cell.training} · `, el("b", {}, cell.method), cell.oracle ? " · oracle" : ""),
      el("dl", { class: "numbers" }, fact("outcome", agentx.words(episode.outcome) + (episode.limit ? `: ${episode.limit}` : "")),
        fact("reward", agentx.share(episode.reward)), fact(isTree ? "states" : "paths", episode.paths.length), fact("steps", row.steps),
        fact("calls", episode.calls.length), fact("tokens", agentx.number(row.tokens)), fact("seconds", episode.seconds.toFixed(1))),
      row.kind || notices.length ? el("p", {}, row.kind ? el("span", { class: "chip" }, agentx.words(row.kind)) : "", notices) : null,
      el("figure", { class: "drawing" }, agentx.drawTree(episode, cell.threshold, go)),
      paths, episode.calls.filter(call => !known.has(call.path) && call.purpose !== "act").map(asked));
  };
})();
