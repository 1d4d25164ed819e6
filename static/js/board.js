// The board's order and filters stand in the address; the button that compares says how many are chosen.
(function () {
  "use strict";
  const button = () => document.getElementById("compare-button");

  function count() {
    const found = button();
    if (!found) return;
    const chosen = document.querySelectorAll("input[form=compare]:checked").length;
    const text = chosen ? String(chosen) : "";
    const place = found.querySelector("[data-count]");
    if (place.textContent !== text) place.textContent = text;
    found.disabled = chosen < 2;
    found.classList.toggle("primary", chosen > 1);
  }

  function remember() {
    const form = document.getElementById("board-query");
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) asked.append(name, value);
    const query = asked.toString();
    window.history.replaceState(null, "", window.location.pathname + (query ? "?" + query : ""));
  }

  document.addEventListener("change", (event) => event.target.matches("[form=compare]") && count());
  document.addEventListener("htmx:afterSwap", function (event) {
    count();
    if (event.detail.elt.id === "board-query" || event.detail.requestConfig?.elt.id === "board-query") remember();
  });
  count();
})();
