// Ctrl+K, or Command+K, moves to the box of Find anything. Without this script, the Tab key does.
document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    const box = document.getElementById("find-anything");
    if (!box) return;
    event.preventDefault();
    box.focus();
    box.select();
});
