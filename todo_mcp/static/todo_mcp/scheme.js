// The light or the dark scheme: the system's, unless the operator chose one. It runs before the first paint.
"use strict";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function chosenScheme() {
    return localStorage.getItem("scheme") || "system";
}

function showScheme() {
    const scheme = chosenScheme();
    document.documentElement.classList.toggle("dark", scheme === "dark" || (scheme === "system" && dark.matches));
    for (const button of document.querySelectorAll("[data-scheme]")) {
        button.setAttribute("aria-pressed", String(button.dataset.scheme === scheme));
    }
}

showScheme();
dark.addEventListener("change", showScheme);
document.addEventListener("DOMContentLoaded", showScheme);
document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-scheme]");
    if (button) {
        localStorage.setItem("scheme", button.dataset.scheme);
        showScheme();
    }
});
