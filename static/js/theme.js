// Changes between light and dark at once; the cookie lets the server send the next page in it.
(function () {
  "use strict";
  document.addEventListener("submit", function (event) {
    const form = event.target.closest("form[data-theme-form]");
    if (!form || !event.submitter) return;
    event.preventDefault();
    const wanted = event.submitter.value;
    const root = document.documentElement;
    const lasting = "; path=/; max-age=31536000; SameSite=Lax" + (location.protocol === "https:" ? "; Secure" : "");
    if (wanted === "system") {
      delete root.dataset.theme;
      document.cookie = "theme=; path=/; max-age=0; SameSite=Lax";
    } else {
      root.dataset.theme = wanted;
      document.cookie = "theme=" + wanted + lasting;
    }
    for (const each of document.querySelectorAll("form[data-theme-form] [aria-pressed]")) {
      each.setAttribute("aria-pressed", String(each.value === wanted));
    }
    // The button that was pressed is hidden now: its counterpart takes the focus.
    const next = form.querySelector(`button:not([value="${wanted}"])`);
    if (event.submitter.classList.contains("scheme") && next) next.focus();
  });
})();
