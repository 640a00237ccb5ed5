// Swagger UI leaves some of its controls without a name. It draws them again and again, so they are named each time.
"use strict";
const NAMES = { ".servers select": "Server", ".content-type": "Media type" };

function nameControls() {
    for (const [selector, name] of Object.entries(NAMES)) {
        for (const control of document.querySelectorAll(`${selector}:not([aria-label])`)) {
            control.setAttribute("aria-label", name);
        }
    }
}

new MutationObserver(nameControls).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
