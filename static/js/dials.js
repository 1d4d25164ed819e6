// Sliders beside the numbers of the panel, on each dial's own scale; dials out of use are put away.
(function () {
  "use strict";
  const panel = document.getElementById("panel");
  document.documentElement.classList.add("scripted");
  if (!panel) return;
  const LAST = 1000;

  function toValue(slider) {
    const low = Number(slider.dataset.low);
    const high = Number(slider.dataset.high);
    const at = Number(slider.value) / LAST;
    if (at === 0) return low;
    if (at === 1) return high;
    const value = "log" in slider.dataset ? low * Math.pow(high / low, at) : low + at * (high - low);
    return "whole" in slider.dataset ? Math.round(value) : Number(value.toPrecision(3));
  }

  function toPlace(slider, value) {
    const low = Number(slider.dataset.low);
    const high = Number(slider.dataset.high);
    const inside = Math.min(Math.max(value, low), high);
    const at = "log" in slider.dataset ? Math.log(inside / low) / Math.log(high / low) : (inside - low) / (high - low);
    return Math.round(LAST * at);
  }

  function follow(slider) {
    const number = document.getElementById(slider.dataset.for);
    const value = number.value === "" ? Number(number.dataset.default) : Number(number.value);
    slider.value = toPlace(slider, value);
    slider.setAttribute("aria-valuetext", String(value));
  }

  const sliders = Array.from(panel.querySelectorAll("input[type=range]"));
  for (const slider of sliders) {
    const number = document.getElementById(slider.dataset.for);
    slider.hidden = false;
    follow(slider);
    slider.addEventListener("input", function () {
      number.value = toValue(slider);
      slider.setAttribute("aria-valuetext", number.value);
    });
    number.addEventListener("input", () => follow(slider));
  }

  function putAway() {
    for (const box of panel.querySelectorAll("[data-needs]")) {
      const chosen = panel.querySelector('[name="' + box.dataset.needs + '"]:checked');
      const used = !chosen || JSON.parse(box.dataset.values).includes(chosen.value);
      box.classList.toggle("unused", !used);
    }
  }
  panel.addEventListener("change", putAway);
  putAway();

  const reset = document.getElementById("reset");
  reset.hidden = false;
  reset.addEventListener("click", function () {
    for (const number of panel.querySelectorAll("input[type=number]")) number.value = number.dataset.default;
    for (const radio of panel.querySelectorAll("input[data-default][type=radio]")) radio.checked = true;
    sliders.forEach(follow);
    putAway();
    panel.dispatchEvent(new Event("dials:reset"));
  });
})();
