// The threshold slider: what the server would say, at once, from the counts that it keeps for each threshold.
(function () {
  "use strict";
  document.documentElement.classList.add("scripted");

  function enhance(form) {
    if (form.dataset.ready) return;
    form.dataset.ready = "yes";
    let table = null;
    fetch(form.dataset.thresholds, { headers: { Accept: "application/json" } })
      .then((answer) => (answer.ok ? answer.json() : null))
      .then(function (found) {
        if (!found || !found.values) return;
        table = found;
        update();
      });
    form.addEventListener("input", update);
    form.addEventListener("submit", (event) => table && event.preventDefault());
    form.addEventListener("click", function (event) {
      if (!table || !event.target.closest("[data-act=best]")) return;
      form.elements.threshold.value = cheapest(table, costs(form)).threshold;
      update();
    });

    function update() {
      if (!table) return;
      const asked = costs(form);
      const at = outcome(table, place(table, Number(form.elements.threshold.value)), asked);
      const best = cheapest(table, asked);
      const half = outcome(table, place(table, 0.5), asked);
      show(form, {
        threshold: plain(at.threshold),
        cost: amount(at.cost),
        precision: digits(at.tp / (at.tp + at.fp)),
        recall: digits(at.tp / (at.tp + at.fn)),
        called: percent((at.tp + at.fp) / (at.tp + at.fp + at.fn + at.tn)),
        tp: at.tp.toLocaleString("en"),
        fp: at.fp.toLocaleString("en"),
        fn: at.fn.toLocaleString("en"),
        tn: at.tn.toLocaleString("en"),
        best: plain(best.threshold),
        best_cost: amount(best.cost),
        half_cost: amount(half.cost),
      });
      for (const svg of form.querySelectorAll("svg.figure")) draw(svg, table, asked, at, best);
    }
  }

  function costs(form) {
    const read = function (name) {
      const value = Number.parseFloat(form.elements[name].value);
      return Number.isFinite(value) && value >= 0 ? value : 1;
    };
    return { fp: read("false_positive"), fn: read("false_negative") };
  }

  // The last stored threshold that is not above this one.
  function place(table, threshold) {
    let found = 0;
    while (found + 1 < table.values.length && table.values[found + 1] <= threshold + 1e-9) found += 1;
    return found;
  }

  function outcome(table, index, asked) {
    const tp = table.true_positives[index];
    const fp = table.false_positives[index];
    const fn = table.positives - tp;
    const tn = table.negatives - fp;
    const cost = (1000 * (fp * asked.fp + fn * asked.fn)) / Math.max(table.positives + table.negatives, 1);
    return { threshold: table.values[index], tp, fp, fn, tn, cost };
  }

  // Of several that cost the same the one in their middle.
  function cheapest(table, asked) {
    const all = table.values.map((_, index) => outcome(table, index, asked));
    const least = Math.min(...all.map((each) => each.cost));
    const equal = all.filter((each) => each.cost <= least);
    return equal[Math.floor(equal.length / 2)];
  }

  function show(form, texts) {
    for (const [name, text] of Object.entries(texts)) {
      const field = form.querySelector(`[data-show=${name}]`);
      if (field && field.textContent !== text) field.textContent = text;
    }
  }

  function draw(svg, table, asked, at, best) {
    const { left, right, top, bottom } = svg.dataset;
    const [l, r, t, b] = [left, right, top, bottom].map(Number);
    const all = table.values.map((_, index) => outcome(table, index, asked).cost);
    const most = Math.max(...all, 1e-9);
    const x = (value) => l + value * (r - l);
    const y = (value) => b - (value / most) * (b - t);
    const points = table.values.map((value, index) => `${x(value).toFixed(1)},${y(all[index]).toFixed(1)}`);
    svg.querySelector("polyline.cost").setAttribute("points", points.join(" "));
    const lines = svg.querySelectorAll("line.grid");
    const step = roundStep(most / Math.max(lines.length - 1, 1));
    svg.querySelectorAll("text.y-tick").forEach(function (text, index) {
      const value = index * step;
      text.textContent = amount(value);
      for (const [each, name] of [[text, "y"], [lines[index], "y1"], [lines[index], "y2"]]) {
        each.setAttribute(name, y(value));
        each.setAttribute("visibility", value <= most ? "visible" : "hidden");
      }
    });
    mark(svg, "cheapest", x(best.threshold), t, b);
    mark(svg, "chosen", x(at.threshold), t, b);
  }

  // The next of 1, 2, 2.5, 5 or 10 times a power of ten.
  function roundStep(least) {
    const unit = 10 ** Math.floor(Math.log10(least));
    return unit * [1, 2, 2.5, 5, 10].find((factor) => unit * factor >= least * 0.999);
  }

  function mark(svg, name, at, top, bottom) {
    let line = svg.querySelector(`.marker.${name}`);
    if (!line) {
      line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      line.setAttribute("class", `marker ${name}`);
      svg.append(line);
    }
    for (const [key, value] of [["x1", at], ["x2", at], ["y1", top], ["y2", bottom]]) {
      line.setAttribute(key, value);
    }
  }

  function amount(value) {
    if (value >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(4)));
  }

  function plain(value) {
    return String(Number(value.toPrecision(6)));
  }

  function digits(value) {
    return Number.isFinite(value) ? value.toFixed(4) : "–";
  }

  function percent(value) {
    if (value > 0 && value < 0.005) return "< 1 %";
    if (value >= 0.995 && value < 1) return "> 99 %";
    return `${Math.round(100 * value)} %`;
  }

  function enhanceAll() {
    document.querySelectorAll("form[data-thresholds]").forEach(enhance);
  }

  document.addEventListener("DOMContentLoaded", enhanceAll);
  document.addEventListener("htmx:afterSettle", enhanceAll);
  if (document.readyState !== "loading") enhanceAll();
})();
