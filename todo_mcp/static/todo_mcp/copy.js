// Buttons that copy the text of the element whose id is in data-copy. Without this script, a click selects the text.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        const said = document.querySelector(".todo-copy-state");
        try {
            await navigator.clipboard.writeText(source.textContent);
            said.textContent = "Copied.";
            for (const other of document.querySelectorAll("[data-copy]")) {
                other.textContent = other === button ? "Copied" : "Copy";
            }
        } catch {  // no permission, or no secure connection
            getSelection().selectAllChildren(source);
            said.textContent = "The text is selected. Copy it with the keyboard.";
        }
    });
}
