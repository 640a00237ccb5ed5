// Propose the time zone of this browser on the account page. Without this script, the person chooses it from the list.
(() => {
    const select = document.getElementById("id_time_zone");
    const proposal = document.getElementById("proposal");
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!select || !proposal || !zone || select.value === zone) return;
    const choose = () => {
        if (![...select.options].some((option) => option.value === zone)) {
            select.prepend(new Option(zone, zone));
        }
        select.value = zone;
        proposal.textContent = `This is the zone of this browser, ${zone}. Save to use it.`;
    };
    proposal.hidden = false;
    if (select.value === "") {
        choose();
        return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = `Use the zone of this browser, ${zone}`;
    button.addEventListener("click", choose);
    proposal.append(button);
})();
