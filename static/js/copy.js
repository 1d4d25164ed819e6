// Gives each block of commands a button that copies it.
(function () {
  "use strict";

  function equip(root) {
    for (const block of root.querySelectorAll("pre.copy")) {
      if (!navigator.clipboard || block.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = "Copy";
      button.addEventListener("click", async function () {
        await navigator.clipboard.writeText(block.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = "Copy"), 1500);
      });
      block.append(button);
    }
  }

  equip(document);
  document.addEventListener("htmx:afterSwap", (event) => equip(event.detail.target));
})();
