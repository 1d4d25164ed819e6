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
        const code = block.querySelector("code");
        try {
          await navigator.clipboard.writeText(code.textContent);
          button.textContent = "Copied";
        } catch {
          // Not allowed here: marked, the text is one key away.
          window.getSelection().selectAllChildren(code);
          button.textContent = "Marked";
        }
        setTimeout(() => (button.textContent = "Copy"), 1500);
      });
      block.append(button);
    }
  }

  equip(document);
  document.addEventListener("htmx:afterSwap", (event) => equip(event.detail.target));
})();
